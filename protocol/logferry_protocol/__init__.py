"""Logferry's wire contract. PROTOCOL.md beside this package says what every message means."""

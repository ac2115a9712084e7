"""Logferry's wire contract. PROTOCOL.md beside this package describes every message."""

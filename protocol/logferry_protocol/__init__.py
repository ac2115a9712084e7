"""Logferry's wire contract. PROTOCOL.md beside this package describes every message."""

__version__ = "0.2.0.dev0"
"""The version of Logferry: of the command, the agent and its image, and what they are installed from."""

"""Checks, stores and acknowledges agents' messages."""

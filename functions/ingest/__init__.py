"""Checks, stores and acknowledges what agents send."""

"""Authenticates agents and viewers, and serves viewers' WebSocket messages."""

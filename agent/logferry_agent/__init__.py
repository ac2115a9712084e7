"""The agent: discovers containers, reads their logs, and ships every line exactly once."""

__version__ = "0.1.0"

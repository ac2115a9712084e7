"""The agent: discovers containers, reads their logs, and ships every line exactly once."""

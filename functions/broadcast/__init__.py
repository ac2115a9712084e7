"""From the tables' streams to those who watch."""

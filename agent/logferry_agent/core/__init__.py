"""Decisions only: nothing below this package knows a clock, a network, a disk or an environment."""

"""The command `logferry`."""

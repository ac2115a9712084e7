"""The state folder that `logferry up` leaves for other commands: a local cloud's addresses, keys and processes."""

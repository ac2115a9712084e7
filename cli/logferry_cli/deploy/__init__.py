"""`logferry deploy` and `logferry destroy`: decisions without I/O, and the programs and services that act on them."""

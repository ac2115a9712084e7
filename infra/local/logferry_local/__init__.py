"""Run Logferry's cloud on one machine.

This is an AWS emulator, the deployed template, the viewer's server, and what is needed to stop them.
"""

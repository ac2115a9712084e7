"""Logferry's cloud on one machine.

An AWS emulator, the deployed template, the viewer's server, and what they need to be stopped again.
"""

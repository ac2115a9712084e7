"""Serves the HTTP API: jobs, history, search, export, shares and tickets."""

"""Sends what the tables' streams report to the viewers who subscribed to it."""

"""Secrets in log lines: the patterns that find them and the text that replaces them."""

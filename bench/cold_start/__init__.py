"""Benchmark of what a function's cold start costs."""

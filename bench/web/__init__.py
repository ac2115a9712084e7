"""Measure the viewer's targets in a real browser against a fake cloud that speaks the real contract."""

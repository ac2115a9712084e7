"""The viewer's promises, measured in a real browser against a pretend cloud that speaks the real contract."""

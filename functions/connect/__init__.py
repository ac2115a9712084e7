"""Who you are, and what you watch."""

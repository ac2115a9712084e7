"""What the registry's items look like, and who stands behind a request: shared by every function."""

"""A container as the engine describes it: its metadata, filters, label settings and out-of-memory ends."""

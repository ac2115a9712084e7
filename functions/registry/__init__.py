"""The items of the registry table (jobs, keys, shares, tombstones, the archive index), shared by all functions."""

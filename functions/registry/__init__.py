"""The items of the registry table: jobs, keys, grants, tombstones and the archive index; shared by every function."""

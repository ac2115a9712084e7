"""Docker log formats: the `json-file` driver's files and the engine's log responses, read as fragments of lines."""

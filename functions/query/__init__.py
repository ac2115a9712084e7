"""Jobs, history, export and tickets over HTTP."""

"""Serves the viewer's files from its bucket through the HTTP API, where a deployment goes without CloudFront."""

"""Uploads the built viewer to the bucket, as a part of the deployment."""

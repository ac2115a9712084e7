"""Uploads the built viewer to the bucket behind CloudFront, as a part of the deployment."""

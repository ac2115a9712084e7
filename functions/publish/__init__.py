"""Puts the built viewer where CloudFront finds it, as part of the deployment."""

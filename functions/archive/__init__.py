"""Archives stored batches to S3, and erases the logs of deleted jobs."""

"""What is done to stored logs afterwards: they are archived to S3, and those of deleted jobs are erased."""

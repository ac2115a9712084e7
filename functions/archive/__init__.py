"""What is done to stored logs afterwards: deleted jobs are erased."""

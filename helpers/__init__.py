"""Small, tested helpers that the notebooks call. Importing this package does nothing else."""

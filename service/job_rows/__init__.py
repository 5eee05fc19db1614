"""The rows behind a job's numbers: what its candidates say of each, and where each lies."""

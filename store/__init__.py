"""Home of what outlives a process: rows and bytes (datasets, jobs, heads, artifacts, the queue)."""

"""Everything that outlives a process: rows and bytes (datasets, jobs, heads, the queue)."""

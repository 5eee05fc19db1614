"""One attempt at a job, in the worker's own process: lease, supervision, texts, and its end."""

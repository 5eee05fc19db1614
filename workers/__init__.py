"""The queue door: where a job's row becomes a training run, and the run a head and a report."""

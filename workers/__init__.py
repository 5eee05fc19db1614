"""The queue door: turns a job's row into a training run, and the run into a head and a report."""

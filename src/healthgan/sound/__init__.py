"""The sound comparison: its cells, its jobs and what a worker does for each."""

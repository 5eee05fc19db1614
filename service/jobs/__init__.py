"""Jobs: submitted, planned, listed, followed, cancelled, and their reports."""

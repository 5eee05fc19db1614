"""The training process, started for one job: it sees one folder, no database and no keys."""

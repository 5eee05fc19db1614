"""The process that does one job's science: it sees one folder, no database and no keys."""

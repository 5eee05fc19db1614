"""Heads to take away: as files that answer, without this service, as it does."""

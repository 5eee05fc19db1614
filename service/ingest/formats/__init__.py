"""Readers of files that strangers wrote, from telling formats apart to blocks of checked rows."""

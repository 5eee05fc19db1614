"""The roof: the wiring of doors and stones into processes, and the `nmtune-server` command."""

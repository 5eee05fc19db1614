"""Connections, tables, paging and the database's own clock."""

"""Immutable bytes named by their sha256: the port, and its homes on a disk and in a bucket."""

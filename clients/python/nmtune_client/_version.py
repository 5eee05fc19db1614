"""The client's version, read by the build and sent as User-Agent."""

__version__ = "0.1.0"

"""From what a client sends (a file, JSON lists, base64) to one checked dataset file."""

"""From what a client sends (npz file, JSON lists, base64) to one checked dataset file."""

"""The audit: its call, and what the server says of who did what."""

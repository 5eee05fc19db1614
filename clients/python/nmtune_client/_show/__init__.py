"""How the client's values look to people: in plain text, in reprs, and as they change."""

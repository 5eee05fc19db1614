"""The registry of heads: versions under a name, aliases, candidates, and their deletion."""

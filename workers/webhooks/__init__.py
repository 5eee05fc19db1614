"""Send webhooks: sign a message, post it, and write what came of it."""

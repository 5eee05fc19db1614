"""Commands of an administrator: keys, sign-in, webhooks, usage, audit."""

"""Webhooks as rows: who listens (endpoints), what is to be told (outbox), and its deliveries."""

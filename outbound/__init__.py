"""Requests to other people's servers: where they may go, over which address, and sealed secrets.

Providers of embeddings and the receivers of webhooks are reached through these modules alone.
"""

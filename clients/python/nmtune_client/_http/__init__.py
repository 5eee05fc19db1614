"""Requests, answers and errors, below any noun of the API."""

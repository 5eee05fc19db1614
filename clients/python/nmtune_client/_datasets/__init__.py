"""Datasets: rows and files checked before they are sent, uploads, and the API's calls."""

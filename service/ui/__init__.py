"""The pages: what the API answers, for people in a browser."""

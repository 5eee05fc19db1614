"""Keys of the API: their calls, and what the server says of them."""

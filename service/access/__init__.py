"""Keys of the API and sessions of browsers: who asks, and the routes that manage keys."""

"""Jobs: what one sends, how one is followed, what it says of itself."""

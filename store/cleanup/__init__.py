"""What removes rows and bytes whose time is over, and bytes that no row names."""

"""The decoding process: started, bounded and watched, it alone opens formats of others."""

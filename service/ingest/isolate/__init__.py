"""The decoding process: bounded and watched, and the only one that opens foreign formats."""

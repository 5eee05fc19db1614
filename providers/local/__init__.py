"""Text encoders that run in this process, from files that a user or the operator gave.

`directory.read_encoder` reads and checks the files, with numpy alone; nothing in them is ever run.
"""

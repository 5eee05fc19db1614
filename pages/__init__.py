"""Pages: JSON in, HTML and SVG out.

A page shows what the API answers and nothing else: the values come in as the API gives them, and
no module here asks a database, a clock or the environment.
"""

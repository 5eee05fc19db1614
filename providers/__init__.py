"""The home of embedding providers: texts in, embeddings out, over HTTP.

A stone like `nmtune` and `store`: it imports nothing of ours, and is the only home of httpx on the
server side. Jobs carry embeddings today; the adapters arrive together with jobs that carry texts.
"""

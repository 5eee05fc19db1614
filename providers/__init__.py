"""Embedding providers: texts in, embeddings out, over HTTP.

A stone like `nmtune` and `store`: it imports nothing of ours. Only this package makes HTTP requests
on the server side (with httpcore2, the transport under httpx2, whose sockets can be guarded).

`catalogue.resolve` makes an encoder out of a name, `pool.Providers` opens its provider, and
`embedder.embed` sends many texts through it.
"""

"""The home of embedding providers: texts in, embeddings out, over HTTP.

A stone like `nmtune` and `store`: it imports nothing of ours, and is the only home of HTTP requests
on the server side (httpcore2, the transport under httpx2, whose sockets can be guarded).

`catalogue.resolve` makes an encoder out of a name, `opening.Providers` opens it, `engine.embed`
takes many texts through it.
"""

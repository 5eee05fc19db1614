"""Serve a head: `heads` (torch) becomes `folded` (matrices), an ONNX graph, and a `session`."""

"""XML-RPC: the server, and one module for each namespace of calls (`one.image.*` is in images.py)."""

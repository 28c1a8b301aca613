"""An HTTP/2 client (RFC 9113) for many small requests to one origin: sans-IO core, one connection, a pool."""

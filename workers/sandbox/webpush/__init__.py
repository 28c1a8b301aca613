"""A push service as RFC 8030 wants it, with browsers that can read what they get."""

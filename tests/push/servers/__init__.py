"""Programs that run servers written elsewhere, for our clients to speak to."""

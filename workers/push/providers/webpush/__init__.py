"""Web Push (RFC 8030), and UnifiedPush, which speaks it: whoever runs the push service, its URL comes from the user."""

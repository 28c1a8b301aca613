"""Firebase Cloud Messaging's HTTP v1 API as Google documents it, with the OAuth token endpoint in front of it."""

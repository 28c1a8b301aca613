"""APNs as Apple documents it: HTTP/2 over TLS, provider tokens or certificates, status and reason for every fault."""

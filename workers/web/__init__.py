"""The web process: health, metrics, and a dashboard. It reads the store and changes nothing; no JIDs, no contents."""

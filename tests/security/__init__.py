"""Promises of docs/security.md that no other test shows."""

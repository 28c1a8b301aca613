"""Processes beside the gateway: push, sweeper, web, and the sandbox. They know the mailbox, nothing above it."""

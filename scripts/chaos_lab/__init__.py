"""`scripts/chaos`: a cluster of processes, clients that talk, a nemesis, and a checker of each message's fate."""

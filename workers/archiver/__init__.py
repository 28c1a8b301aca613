"""The archiver: moves what is older of message archives from Redis into SQL, and deletes what is not to be kept.

It keeps nothing of its own. Each step may be repeated, so any number of archivers may run at once, and one may be
killed at any moment.
"""

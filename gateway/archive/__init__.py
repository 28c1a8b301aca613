"""Message archives as a whole (XEP-0313): the recent part in Redis and the older part in SQL, read as one.

`gateway.mailbox.archives` knows the recent part; here are the SQL store and the reader that joins both. Gateways only
read; rows are written and deleted by the archiver (`workers/archiver`).
"""

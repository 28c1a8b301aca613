"""What one client, one account, one address, or all of them together may ask of a gateway process, and what becomes of
more.

`process.Limits` belongs to the process, `visit.Visit` to one connection. Counters, clocks and buckets only: nothing
here knows XMPP's elements or sockets.
"""

"""The push worker: decides whether a device is woken, and asks Apple or Google to do it.

Reading order: `outcome` (what may come of a push), `notification` (what a push is), `rules`, `provider`, one of
`providers`.
"""

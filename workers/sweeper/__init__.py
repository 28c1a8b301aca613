"""The sweeper: what has to happen by the clock, or because somebody died. It keeps nothing of its own.

Each operation it calls is atomic and may run twice, so any number of sweepers may run at once, and one may be killed at
any moment: the next one finds everything where it was.
"""

"""The root of every error that Wakegate raises on purpose."""


class WakegateError(Exception):
    """A failure that the code foresaw.

    The loop that catches it reads two class attributes: `alert`, whether an operator should look at it, and `metric`,
    the label
    under which it is counted. Expected failures are a counter; surprises are an alert.
    """

    alert: bool = False
    metric: str = "error"

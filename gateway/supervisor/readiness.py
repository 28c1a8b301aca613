"""How a child tells that it serves: one line into a pipe that it inherited.

The supervisor names the pipe's file descriptor in `WAKEGATE_READY_FD`. A pipe, because its end tells the supervisor at
once that a child died before it was ready, and because nothing is left behind that could mislead the next start.
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

READY_FD: Final = "WAKEGATE_READY_FD"
READY_LINE: Final = b"ready\n"


def notify_ready() -> None:
    """Tell the supervisor, if there is one, that this process serves now. Further calls do nothing."""
    number = os.environ.pop(READY_FD, "")
    if not number.isdigit():
        return
    # The supervisor may have died meanwhile; then there is nobody to tell.
    with contextlib.suppress(OSError):
        os.write(int(number), READY_LINE)
    with contextlib.suppress(OSError):
        os.close(int(number))

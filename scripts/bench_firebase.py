"""Sends messages as firebase-admin does by itself, to an address of choice; prints what one costs, as JSON."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import warnings

from firebase_admin import credentials, initialize_app, messaging

BATCH = 100


def cpu() -> float:
    """CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """bench_firebase.py ACCOUNT-FILE ENDPOINT COUNT"""
    warnings.simplefilter("ignore")  # of `Message.token`
    account, endpoint, many = sys.argv[1], sys.argv[2], int(sys.argv[3])
    initialize_app(credentials.Certificate(account))
    messaging._MessagingService.FCM_URL = f"{endpoint}/v1/projects/{{0}}/messages:send"
    messages = [
        messaging.Message(
            data={"kind": "message", "count": "1", "node": "node"},
            android=messaging.AndroidConfig(priority="high", ttl=3600, collapse_key="c" * 36),
            token=f"{number:064x}",
        )
        for number in range(many)
    ]
    messaging.send_each(messages[:1])
    before, began = cpu(), time.monotonic()
    sent = sum(messaging.send_each(messages[at : at + BATCH]).success_count for at in range(0, many, BATCH))
    took, used = time.monotonic() - began, cpu() - before
    if sent != many:
        raise SystemExit(f"{sent} of {many} were accepted")
    print(
        json.dumps(
            {
                "pushes": many,
                "process_us": round(used / many * 1e6),
                "per_s": round(many / took),
                "load": os.getloadavg()[0],
            }
        )
    )


if __name__ == "__main__":
    main()

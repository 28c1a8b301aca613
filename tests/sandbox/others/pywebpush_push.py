"""pywebpush against an address file: argv is addresses.json and subscriptions as browsers give them; prints JSON."""

import json
import sys
from pathlib import Path
from typing import Any

import requests
from pywebpush import WebPushException, webpush

ALL_HEADERS: dict[str, str | int | float] = {"Topic": "wakegate", "Urgency": "high"}


def main(addresses: dict[str, str], subscriptions: list[dict[str, Any]]) -> None:
    outcomes: list[list[Any]] = []
    with requests.Session() as session:
        session.verify = addresses["ca_file"]
        for subscription in subscriptions:
            try:
                answer = webpush(
                    subscription,
                    json.dumps({"kind": "wake"}),
                    vapid_private_key=addresses["vapid_key_file"],
                    vapid_claims={"sub": "mailto:admin@example.org"},
                    ttl=60,
                    headers=dict(ALL_HEADERS),
                    requests_session=session,
                )
                outcomes.append(["sent", getattr(answer, "status_code", None)])
            except WebPushException as error:
                outcomes.append(["failed", error.response.status_code if error.response is not None else None])
    print(json.dumps(outcomes))


main(json.loads(Path(sys.argv[1]).read_text()), [json.loads(text) for text in sys.argv[2:]])

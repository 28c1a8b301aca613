"""pyfcm against an address file: argv is addresses.json and registration tokens; prints JSON."""

import json
import sys
from pathlib import Path

import pyfcm
from pyfcm.baseapi import BaseAPI
from pyfcm.errors import FCMError


def main(addresses: dict[str, str], tokens: list[str]) -> None:
    BaseAPI.FCM_END_POINT_BASE = addresses["fcm_endpoint"] + "/v1/projects"
    client = pyfcm.FCMNotification(service_account_file=addresses["service_account_file"], project_id="wakegate-demo")
    outcomes = []
    for token in tokens:
        try:
            answer = client.notify(
                fcm_token=token,
                notification_title="t",
                data_payload={"kind": "wake"},
                android_config={"priority": "high", "collapse_key": "k", "ttl": "3.5s"},
            )
            outcomes.append(["sent", answer["name"].split("/")[1]])
        except FCMError as error:
            outcomes.append([type(error).__name__, str(error)[:200]])
    print(json.dumps(outcomes))


main(json.loads(Path(sys.argv[1]).read_text()), sys.argv[2:])

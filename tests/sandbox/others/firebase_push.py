"""firebase-admin against an address file: argv is addresses.json and registration tokens; prints JSON."""

import json
import os
import sys
import warnings
from pathlib import Path

import firebase_admin
from firebase_admin import credentials, messaging
from firebase_admin.exceptions import FirebaseError


def main(addresses: dict[str, str], tokens: list[str]) -> None:
    endpoint = os.environ.get("WAKEGATE_TEST_FCM_ENDPOINT", addresses["fcm_endpoint"])
    messaging._MessagingService.FCM_URL = endpoint + "/v1/projects/{0}/messages:send"
    firebase_admin.initialize_app(credentials.Certificate(addresses["service_account_file"]))
    outcomes = []
    for token in tokens:
        with warnings.catch_warnings():
            # 7.x warns that `token` will be called `fid` one day.
            warnings.simplefilter("ignore")
            message = messaging.Message(
                token=token,
                data={"kind": "wake"},
                notification=messaging.Notification(title="t", body="b"),
                android=messaging.AndroidConfig(
                    priority="high",
                    ttl=3.5,
                    collapse_key="k",
                    notification=messaging.AndroidNotification(
                        visibility="private", priority="max", vibrate_timings_millis=[100, 200], event_timestamp=None
                    ),
                ),
                apns=messaging.APNSConfig(
                    headers={"apns-priority": "10"},
                    payload=messaging.APNSPayload(aps=messaging.Aps(alert="hello", badge=1)),
                ),
                webpush=messaging.WebpushConfig(notification=messaging.WebpushNotification(title="t", renotify=True)),
                fcm_options=messaging.FCMOptions(analytics_label="x"),
            )
        try:
            outcomes.append(["sent", messaging.send(message).split("/")[1]])
        except FirebaseError as error:
            outcomes.append([type(error).__name__, error.code])
    print(json.dumps(outcomes))


main(json.loads(Path(sys.argv[1]).read_text()), sys.argv[2:])

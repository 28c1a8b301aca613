"""The push sandbox: APNs and FCM as their vendors document them, on loopback, for development, demo and tests.

Reading order: `server` puts it together; `apns` and `fcm` are the two services; `faults` and `devices` say what they
answer; `record` is what they received; `control` shows and steers all of it over plain HTTP. Nothing here shares frame
or token code with the push worker's own clients: the two must not agree on the same mistake.
"""

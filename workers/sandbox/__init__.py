"""The push sandbox: APNs, FCM and Web Push as they are documented, on loopback, for development, demo and tests.

Reading order: `server` puts it together; `apns`, `fcm` and `webpush` are the services, each with what it keeps for
devices that sleep (`storage`); `behaviour`, `faults` and `devices` say what they answer; `record` is what they
received, `deliveries` what reached the devices; `control` shows and steers all of it over plain HTTP, and `scenario`
plays scripts for it. Nothing here shares frame or token code with the push worker's own clients: the two must not agree
on the same mistake.
"""

"""Mistakes with Apple: device tokens and topics (Apple, "Handling notification responses from APNs")."""

from __future__ import annotations

from typing import Final

from workers.push.mistakes.case import is_of_apns, is_of_fcm
from workers.push.mistakes.mistake import Mistake
from workers.push.settings import APNS, FCM

APPLE: Final[tuple[Mistake, ...]] = (
    Mistake(
        name="development-token-in-production",
        title="A token of a development build in production",
        shows="`BadDeviceToken` while `environment` is production",
        means="Apple has two separate services. An app that Xcode installed has a token of the sandbox; production "
        "does not know it.",
        remedy='Let development builds register with environment = sandbox, or set environment = "auto": the other '
        "service is tried once when the first does not know a token.",
        providers=(APNS,),
        said=r"\bBadDeviceToken\b",
        unless=lambda case: case.at not in ("", "production") or is_of_fcm(case.token),
    ),
    Mistake(
        name="store-token-in-sandbox",
        title="A token of TestFlight or the App Store in the sandbox",
        shows="`BadDeviceToken` while `environment` is sandbox",
        means="Apps from TestFlight and the App Store have tokens of production; the sandbox does not know them.",
        remedy='Set environment = "production", or "auto" if one app has both kinds of builds.',
        providers=(APNS,),
        said=r"\bBadDeviceToken\b",
        unless=lambda case: case.at not in ("", "sandbox") or is_of_fcm(case.token),
    ),
    Mistake(
        name="token-unknown-to-apple",
        title="Neither of Apple's services knows the token",
        shows="`BadDeviceToken` while `environment` is auto",
        means="Production and sandbox were both asked. The token is cut off, made up, or was changed on its way.",
        remedy="Log the token in the app and compare it, digit by digit, with what is registered.",
        providers=(APNS,),
        said=r"\bBadDeviceToken\b",
        proof=lambda case: case.at == "auto",
        unless=lambda case: case.at != "auto" or is_of_fcm(case.token),
    ),
    Mistake(
        name="token-of-another-app",
        title="The token belongs to another app",
        shows="`DeviceTokenNotForTopic`",
        means="`topic` is not the bundle ID of the build that got this token: a second target, a .debug or .beta "
        "suffix, or an app that moved to another team.",
        remedy="Set topic to the bundle ID of that build; give each bundle ID its own [push.apps.NAME].",
        providers=(APNS,),
        said=r"\bDeviceTokenNotForTopic\b",
    ),
    Mistake(
        name="topic-wrong",
        title="The topic is no bundle ID of yours",
        shows="`BadTopic` or `MissingTopic`",
        means="Apple does not take `topic` at all: it is mistyped, or is the app's name or its app ID with the team's "
        "prefix.",
        remedy="Set topic to the bundle ID exactly as Xcode shows it, e.g. org.example.chat, without team prefix or "
        "suffix.",
        providers=(APNS,),
        said=r"\b(BadTopic|MissingTopic)\b",
    ),
    Mistake(
        name="entitlement-missing",
        title="The app has no aps-environment entitlement",
        shows="the phone never registers; the app logs `no valid aps-environment entitlement string`",
        means='Without the capability "Push Notifications" iOS gives the app no token, so there is nothing to push to.',
        remedy="In Xcode, Signing & Capabilities: add Push Notifications, and look for aps-environment in the signed "
        "build (codesign -d --entitlements -).",
        providers=(APNS,),
        said=r"aps-environment|no registration",
    ),
    Mistake(
        name="payload-too-large",
        title="The payload is too large",
        shows="`PayloadTooLarge`",
        means="More than 4,096 bytes, though Wakegate shortens: a very long *_text or *_key in the app's settings.",
        remedy="Shorten message_text, call_text and the names of sounds.",
        said=r"\bPayloadTooLarge\b",
    ),
    Mistake(
        name="app-removed",
        title="The app was removed from the device",
        shows="`Unregistered`, `ExpiredToken`, `UNREGISTERED`",
        means="No mistake of yours: the app is gone, its data was cleared, or it has not been seen for months.",
        remedy="Nothing: the registration is removed. The app registers anew when it is opened; it must send the "
        "token each time, since tokens change.",
        said=r"\b(Unregistered|UNREGISTERED)\b|\bExpiredToken\b",
        unless=lambda case: case.provider == FCM and is_of_apns(case.token),
    ),
)

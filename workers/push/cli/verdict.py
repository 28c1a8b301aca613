"""What can be said of one app: by looking at it here, and by asking its provider."""

from __future__ import annotations

import secrets
import time
import uuid
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.settings import ConfigError, Settings
from workers.push import probe
from workers.push.cli.access import provider_of
from workers.push.configure.review import Remark, review
from workers.push.mistakes import Case
from workers.push.mistakes.diagnosis import Finding, diagnose, in_words
from workers.push.mistakes.tokens import NETWORK
from workers.push.notification import Push
from workers.push.outcome import Delivered, TokenGone
from workers.push.provider import Checked, Provider
from workers.push.settings import APNS, APPSERVER, AppSettings, PushSettings


@dataclass(frozen=True)
class Verdict:
    """`text` is one line; `unasked`: the provider could not be reached, which says nothing about the app."""

    app: str
    ok: bool
    text: str
    remarks: tuple[Remark, ...] = ()
    findings: tuple[Finding, ...] = field(default=())
    unasked: bool = False

    def to_json(self) -> dict[str, Any]:
        """As `push check --json` prints it."""
        return {
            "app": self.app,
            "ok": self.ok,
            "text": self.text,
            "remarks": [{"text": remark.text, "fault": remark.fault} for remark in self.remarks],
            "mistakes": [finding.to_json() for finding in self.findings],
        }

    def lines(self) -> list[str]:
        """For people."""
        remarks = [f"  {remark.text}" for remark in self.remarks if remark.text not in self.text]
        return [f"{self.app}: {self.text}", *remarks, *in_words(self.findings)]


def judge(
    section: PushSettings, name: str, *, settings: Settings | None = None, offline: bool = False, deep: bool = False
) -> Verdict:
    """Look at an app here, and unless `offline` ask its provider. Sends nothing to any device.

    `settings`: of the installation, by way of which app servers are asked; without them those are not. `deep`: let
    Apple judge the credential, too, by a push to a device that does not exist.
    """
    app = section.apps[name]
    remarks = tuple(review(app))
    faults = [remark.text for remark in remarks if remark.fault]
    if faults:
        others = tuple(remark for remark in remarks if not remark.fault)
        findings = tuple(found for fault in faults for found in diagnose(_case(app, fault)))
        return Verdict(name, False, "; ".join(faults), others, tuple(dict.fromkeys(findings)))
    if offline or (app.provider == APPSERVER and settings is None):
        return Verdict(name, True, "no faults found; its provider was not asked", remarks)
    try:
        with provider_of(section, name, settings=settings) as provider:
            checked = provider.check()
            if checked.ok and deep and app.provider == APNS:
                checked = _judged_by_apple(provider, name, app)
    except ConfigError as error:
        return Verdict(name, False, "; ".join(error.faults), remarks, diagnose(_case(app, str(error))))
    if checked.ok:
        return Verdict(name, True, checked.text, remarks)
    findings = explained(_case(app, checked.text), timeout_s=section.request_timeout)
    return Verdict(name, False, checked.text, remarks, findings, unasked=is_about_the_way(findings))


def _judged_by_apple(provider: Provider, name: str, app: AppSettings) -> Checked:
    """Apple looks at the credential and the topic before the device: that it does not know a token made up here means
    that all else is good.
    """
    nobody = secrets.token_hex(32)
    wanted = Push(app=name, token=nobody, push_id=str(uuid.uuid4()), expires_at=time.time() + 60, urgent=False)
    outcome = provider.send(wanted)
    if isinstance(outcome, Delivered | TokenGone):
        what = "the certificate" if app.certificate_file else f"the key {app.key_id} of team {app.team_id}"
        return Checked(True, f"Apple takes {what} for {app.topic}")
    return Checked(False, outcome.reason)


def explained(case: Case, *, timeout_s: float) -> tuple[Finding, ...]:
    """What is usually wrong in such a case, after a second look at what the provider says in full."""
    first = diagnose(case)
    if case.app is None or (first and is_about_the_way(first)):
        return first
    seen = probe.look(case.app, timeout_s=timeout_s)
    return diagnose(replace(case, said=f"{case.said} {seen.words}".strip(), skew_s=seen.skew_s))


def is_about_the_way(findings: tuple[Finding, ...]) -> bool:
    """Was the provider not reached, or not in a state to judge anything?"""
    return bool(findings) and all(found.mistake in NETWORK for found in findings)


def _case(app: AppSettings, said: str) -> Case:
    return Case(said=said, provider=app.provider, app=app)

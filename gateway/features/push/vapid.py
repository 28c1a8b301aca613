"""The public keys with which web apps subscribe (RFC 8292), in the push service's disco#info (XEP-0128)."""

from __future__ import annotations

from gateway.features.push.own import HOST, WEB_PUSH
from gateway.hooks import DiscoInfo
from gateway.xmpp import forms, ns


def describe_keys(event: DiscoInfo) -> None:
    """One field for each app, of the app's name: a client need not carry the key with it."""
    if event.node or not event.is_host or not event.to.domain.startswith(f"{HOST}."):
        return
    apps = event.services.settings["push"].apps
    told = {
        name: [app.vapid_public_key] for name, app in apps.items() if app.provider == WEB_PUSH and app.vapid_public_key
    }
    if told:
        event.forms.append(forms.write(forms.Form("result", {forms.FORM_TYPE: [ns.VAPID], **told})))

"""What a run must never show: everything private in it has a mark, or a form, by which it is found again."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from pathlib import Path

from tests.support.component import SECRET
from tests.support.processes import DOMAIN, PASSWORD

MARK = "MARKED"
"""part of every body, resource, node, token and name that is chosen here, so that it is found wherever it is shown"""

FORMS = {
    "a JID": re.compile(rf"user\d+(?:@|\\40){re.escape(DOMAIN)}"),
    "a marked text": re.compile(MARK, re.IGNORECASE),
    "a password": re.compile(f"{re.escape(PASSWORD)}|{re.escape(SECRET)}"),
    "a SASL message with the password": re.compile(re.escape(base64.b64encode(PASSWORD.encode()).decode()[2:-4])),
    "a signed token": re.compile(r"eyJ[\w-]{8,}\.[\w-]+"),
    "a bearer": re.compile(r"(?i)(bearer|vapid t=)\s*\S{8,}"),
    "a private key": re.compile(r"PRIVATE KEY"),
    "a stanza": re.compile(r"<(message|presence|iq)[\s>]"),
}


def key_material(*files: str) -> set[str]:
    """Lines of the keys in PEM or JSON files."""
    found = set()
    for file in files:
        text = Path(file).read_text()
        text = str(json.loads(text)["private_key"]) if file.endswith(".json") else text
        found |= {line for line in text.splitlines() if len(line) > 20 and "-----" not in line}
    return found


def told(text: str, secrets: Iterable[str]) -> list[str]:
    """What of it is shown: what it is, and the line."""
    wanted = [*secrets]
    found = []
    for line in text.splitlines():
        found += [f"{what}: {line[:400]}" for what, form in FORMS.items() if form.search(line)]
        found += [f"a secret: {line[:400]}" for secret in wanted if secret and secret in line]
    return found

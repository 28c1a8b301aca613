"""The dashboard: one page with its own style and script, and a policy under which nothing else can run in it."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files

_STYLE = re.compile(rb"<style>(.*?)</style>", re.DOTALL)
_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Dashboard:
    """The page's bytes and its Content-Security-Policy."""

    html: bytes
    policy: str

    @classmethod
    def load(cls) -> Dashboard:
        """From the package. The policy names the page's own style and script by their hashes (CSP 3, section 2.3.1)."""
        html = (files("workers.web") / "dashboard.html").read_bytes()
        policy = "; ".join(
            (
                "default-src 'none'",
                f"style-src {_hashes(_STYLE, html)}",
                f"script-src {_hashes(_SCRIPT, html)}",
                "connect-src 'self'",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            )
        )
        return cls(html, policy)


def _hashes(pattern: re.Pattern[bytes], html: bytes) -> str:
    return " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(each).digest()).decode()}'" for each in pattern.findall(html)
    )

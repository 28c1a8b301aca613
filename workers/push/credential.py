"""What goes wrong with the credentials of any provider."""

from __future__ import annotations

from gateway.errors import WakegateError


class CredentialError(WakegateError):
    """A key, certificate or account file cannot be read or is not what the provider takes. Names the file, not its
    content.
    """

    alert = True
    metric = "credential"

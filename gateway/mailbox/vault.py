"""What an account keeps on the server, byte for byte: private XML and its vCard. Bounded per account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.mailbox import keys
from gateway.mailbox.library import function
from gateway.mailbox.mailbox import Mailbox
from gateway.settings import setting

CARD, PHOTO = "card", "photo"
"""names in the area of the vCard: the element; SHA-1 of its photo in hexadecimal digits, NO_PHOTO if it has none"""

NO_PHOTO = b"-"


@dataclass(frozen=True)
class StorageSettings:
    """[storage] What accounts may keep on the server besides messages."""

    private_xml_bytes: int = setting(
        262144, unit="bytes", least=0, most=16777216, help="XEP-0049, of all elements of an account together."
    )
    private_xml_entries: int = setting(200, unit="elements", least=0, most=1000, help="XEP-0049, per account.")
    vcard_bytes: int = setting(131072, unit="bytes", least=0, most=1048576, help="XEP-0054, its photo included.")


class Vault:
    """Every method waits, and raises StoreError. `user` is a bare JID, `asker` a full one."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._journal = mailbox.journal

    def keep_private(self, user: str, elements: Mapping[str, bytes], limits: StorageSettings) -> bool:
        """Keep elements of private XML by `{namespace}name`; b"" takes one away. False: there would be too much."""
        return self._keep(user, "private", elements, limits.private_xml_entries, limits.private_xml_bytes)

    def keep_card(
        self, user: str, card: bytes, photo: bytes, limits: StorageSettings, *, instead_of: bytes | None = None
    ) -> bool | None:
        """Keep the vCard, with its photo's hash or NO_PHOTO. False: it is too large. None: it is no more `instead_of`
        (b"": there was none).
        """
        if instead_of is None:
            # The hash is the server's own addition and does not count.
            return self._keep(user, "vcard", {CARD: card, PHOTO: photo}, 2, limits.vcard_bytes + len(photo))
        reply = self._journal.call(
            "FCALL", function("vcard_swap"), 1, keys.prefix(user), user, instead_of, card, photo, limits.vcard_bytes
        )
        return None if reply == b"changed" else bool(reply == b"ok")

    def _keep(self, user: str, area: str, values: Mapping[str, bytes], most: int, most_bytes: int) -> bool:
        flat = [part for item in values.items() for part in item]
        reply = self._journal.call(
            "FCALL", function("vault_keep"), 1, keys.prefix(user), user, area, most, most_bytes, *flat
        )
        return bool(reply == b"ok")

    def private(self, user: str, names: Sequence[str]) -> list[bytes]:
        """The elements of these names, b"" for one that is not there."""
        at = keys.prefix(user)
        return [bytes(value or b"") for value in self._journal.call("HMGET", keys.key(at, "private", user), *names)]

    def card(self, *, user: str, asker: str) -> bytes:
        """The vCard as this asker may see it; b"" if there is none for it."""
        return bytes(self._journal.call("FCALL", function("vcard_shown"), 1, keys.prefix(user), user, asker))

    def own_card(self, user: str) -> bytes:
        """The card as its owner sees it; b"" if there is none."""
        return bytes(self._journal.call("HGET", keys.key(keys.prefix(user), "vcard", user), CARD) or b"")

    def photo(self, user: str) -> bytes:
        """The hash of the vCard's photo, NO_PHOTO if the vCard has none, b"" if there is no vCard."""
        return bytes(self._journal.call("HGET", keys.key(keys.prefix(user), "vcard", user), PHOTO) or b"")

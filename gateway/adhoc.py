"""XEP-0050: what an ad-hoc command is, for features that declare some (`Feature.commands`).

A command is a row of steps. The first one runs when the command is executed, each other one when the form that the
step before it asked to be filled in was submitted. A step that answers `Ask` must change nothing: the client may go
back, and then it runs again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from gateway.xmpp import ns
from gateway.xmpp.errors import ErrorType, StanzaCondition, StanzaError
from gateway.xmpp.forms import Form, Layout
from gateway.xmpp.jid import JID, JIDError

if TYPE_CHECKING:
    from gateway.hooks import Services, SessionView


def refusal(condition: StanzaCondition, specific: str, text: str = "") -> StanzaError:
    """An error of XEP-0050 section 4.4, such as bad-request with malformed-action."""
    return StanzaError(condition, text, extra=f"<{specific} xmlns='{ns.COMMANDS}'/>".encode())


def bad_payload(text: str) -> StanzaError:
    """What was submitted cannot be used."""
    return refusal(StanzaCondition.BAD_REQUEST, "bad-payload", text)


def forbidden(text: str = "") -> StanzaError:
    """The asker may not execute the command; XEP-0050 section 4.4 gives it this type."""
    return StanzaError(StanzaCondition.FORBIDDEN, text, type=ErrorType.CANCEL)


@dataclass(frozen=True, slots=True)
class Request:
    """What a step gets: who asks, and what was submitted. `earlier` are the forms of the stages before."""

    session: SessionView
    services: Services
    form: Form
    earlier: tuple[Form, ...] = ()

    @property
    def asker(self) -> JID:
        """The full JID of who asks."""
        return self.session.jid

    def text(self, var: str) -> str:
        """The value of a field that may be left out."""
        return self.form.first(var).strip()

    def required(self, var: str) -> str:
        """The value of a field that may not. Raises StanzaError(bad-payload)."""
        value = self.form.first(var)
        if not value:
            raise bad_payload(f"the field {var} is needed")
        return value

    def jids(self, var: str, *, most: int) -> list[JID]:
        """The addresses in a field, each once, at least one and at most so many. Raises StanzaError(bad-payload)."""
        texts = [text.strip() for text in self.form.fields.get(var, ()) if text.strip()]
        if not texts:
            raise bad_payload(f"the field {var} is needed")
        if len(texts) > most:
            raise bad_payload(f"the field {var} takes {most} addresses at most")
        try:
            return list(dict.fromkeys(JID.parse(text) for text in texts))
        except JIDError as error:
            raise bad_payload(f"the field {var}: {error}") from error

    def flag(self, var: str) -> bool:
        """The value of a boolean field (XEP-0004 section 3.3), false if it was left out."""
        return self.text(var) in ("1", "true")


@dataclass(frozen=True, slots=True)
class Note:
    """XEP-0050 section 4.3: something about how it went, for people."""

    text: str
    type: Literal["info", "warn", "error"] = "info"


@dataclass(frozen=True, slots=True)
class Ask:
    """The step wants this form filled in."""

    form: Layout
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """The command is completed. One that failed has a note of type error."""

    result: Layout | None = None
    notes: tuple[Note, ...] = ()


Step = Callable[[Request], Ask | Done]


def everybody(asker: JID, services: Services) -> bool:
    """Every account of this server."""
    return True


@dataclass(frozen=True, slots=True)
class Command:
    """One command of this server. Whoever is not `allowed` does not see it and gets `forbidden`."""

    node: str
    name: str
    steps: tuple[Step, ...]
    allowed: Callable[[JID, Services], bool] = field(default=everybody)

"""Queries to an archive, and their answers, on the wire (XEP-0313)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from gateway.xmpp import ns
from tests.support.phone import Phone, stanza

MAM = f"{{{ns.MAM}}}"
RSM = f"{{{ns.RSM}}}"
FORWARDED = f"{MAM}result/{{{ns.FORWARD}}}forwarded"
_ids = (f"q{number}" for number in itertools.count())


def new_id() -> str:
    """An id for an iq."""
    return next(_ids)


@dataclass
class Answer:
    """A page, as its client gets it."""

    iq: Element
    results: list[Element] = field(default_factory=list)

    @property
    def bodies(self) -> list[str]:
        return [one.findtext(f"{FORWARDED}/{stanza('message')}/{stanza('body')}") or "" for one in self.results]

    @property
    def ids(self) -> list[str]:
        return [found.get("id", "") for one in self.results if (found := one.find(f"{MAM}result")) is not None]

    @property
    def fin(self) -> Element:
        fin = self.iq.find(f"{MAM}fin")
        assert fin is not None, self.condition
        return fin

    @property
    def is_complete(self) -> bool:
        return self.fin.get("complete") == "true"

    @property
    def condition(self) -> str:
        error = self.iq.find(stanza("error"))
        return "" if error is None else error[0].tag.partition("}")[2]

    def rsm(self, name: str) -> str | None:
        return self.fin.findtext(f"{RSM}set/{RSM}{name}")


def ask(phone: Phone, inner: str = "", *, attributes: str = "", to: str = "", iq_type: str = "set") -> Answer:
    """Sends a query and answers what comes, up to the iq."""
    name = new_id()
    at = f" to='{to}'" if to else ""
    phone.send(f"<iq type='{iq_type}' id='{name}'{at}><query xmlns='{ns.MAM}'{attributes}>{inner}</query></iq>")
    return collect(phone, name)


def collect(phone: Phone, name: str) -> Answer:
    """What comes up to the answer of that id; other messages and presence are passed over."""
    results = []
    while True:
        element = phone.next()
        if element.tag == stanza("iq"):
            assert name == element.get("id")
            return Answer(element, results)
        if element.tag == stanza("message") and element.find(f"{MAM}result") is not None:
            results.append(element)


def form(**values: str | list[str]) -> str:
    fields = "".join(
        f"<field var='{name.replace('_', '-')}'>"
        + "".join(f"<value>{value}</value>" for value in ([said] if isinstance(said, str) else said))
        + "</field>"
        for name, said in values.items()
    )
    return (
        f"<x xmlns='{ns.DATA_FORMS}' type='submit'><field var='FORM_TYPE' type='hidden'><value>{ns.MAM}</value></field>"
        f"{fields}</x>"
    )


def rsm(inner: str) -> str:
    return f"<set xmlns='{ns.RSM}'>{inner}</set>"

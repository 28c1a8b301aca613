"""Ad-hoc commands from a test's hand: XEP-0050 over a phone."""

from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

from gateway.demo.stream import condition_of
from gateway.xmpp import ns
from tests.support.phone import Phone, stanza

COMMAND = f"{{{ns.COMMANDS}}}command"
DATA = f"{{{ns.DATA_FORMS}}}"


def ask(phone: Phone, type_: str, payload: str, *, to: str = "localhost") -> Element:
    """An iq and its answer."""
    addressed = f" to={quoteattr(to)}" if to else ""
    phone.send(f"<iq type='{type_}' id='q'{addressed}>{payload}</iq>")
    return phone.skip_to(stanza("iq"), stanza("presence"), stanza("message"))


def error_of(answer: Element) -> tuple[str, str]:
    """(condition, specific condition) of an error; empty if it is none."""
    error = answer.find(stanza("error"))
    if error is None:
        return "", ""
    specific = [one.tag.partition("}")[2] for one in error if one.tag.startswith(f"{{{ns.COMMANDS}}}")]
    return condition_of(error), specific[0] if specific else ""


def form(**fields: str | list[str]) -> str:
    """A submitted form; `_` in a name stands for `-` if it is doubled."""
    inner = "".join(
        f"<field var='{name.replace('__', '-')}'>"
        + "".join(f"<value>{escape(one)}</value>" for one in ([value] if isinstance(value, str) else value))
        + "</field>"
        for name, value in fields.items()
    )
    return f"<x xmlns='{ns.DATA_FORMS}' type='submit'>{inner}</x>"


def command(phone: Phone, node: str, *, to: str = "localhost", inner: str = "", **attributes: str) -> Element:
    """One request and its answer."""
    written = "".join(f" {name}={quoteattr(value)}" for name, value in attributes.items())
    request = f"<command xmlns='{ns.COMMANDS}' node={quoteattr(node)}{written}>{inner}</command>"
    return ask(phone, "set", request, to=to)


def run(phone: Phone, node: str, **fields: str | list[str]) -> Element:
    """Executes a command of one form and submits it; answers what came last."""
    begun = command(phone, node)
    found = begun.find(COMMAND)
    if found is None or found.get("status") == "completed":
        return begun
    return command(phone, node, sessionid=found.get("sessionid", ""), inner=form(**fields))


def values(answer: Element, var: str) -> list[str]:
    """The values of a field of the form in an answer."""
    return [
        value.text or ""
        for field in answer.iter(f"{DATA}field")
        if field.get("var") == var
        for value in field.iter(f"{DATA}value")
    ]


def notes(answer: Element) -> list[tuple[str, str]]:
    """(type, text) of each note."""
    return [(note.get("type", "info"), note.text or "") for note in answer.iter(f"{{{ns.COMMANDS}}}note")]


def status(answer: Element) -> str:
    """The command's status, "" if there is none."""
    found = answer.find(COMMAND)
    return "" if found is None else found.get("status", "")

"""One request as it should be, at least, for every handler that the features declare. Bad ones are made from these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.composition import Features
from gateway.features import FEATURES
from gateway.xmpp import ns
from tests.support.processes import DOMAIN, PASSWORD

SERVER, HOST = DOMAIN, f"push.{DOMAIN}"
OWN = ""
"""no `to`: the sender's account"""

APNS_TOKEN: Final = "ab" * 32


@dataclass(frozen=True, slots=True)
class Row:
    """One request: its payload, where it belongs, what has to be there before, and the error it gets, "" for none."""

    name: str
    type: str
    payload: str
    to: str = OWN
    before: tuple[tuple[str, str], ...] = ()
    """(type, payload) of requests to the own account"""
    error: str = ""
    ends: bool = False
    """the account, or its other sessions, may end with it"""


def form(form_type: str, **fields: str) -> str:
    """A submitted form."""
    inner = "".join(
        f"<field var='{var.replace('__', '#')}'><value>{value}</value></field>" for var, value in fields.items()
    )
    return (
        f"<x xmlns='{ns.DATA_FORMS}' type='submit'>"
        f"<field var='FORM_TYPE' type='hidden'><value>{form_type}</value></field>{inner}</x>"
    )


def pubsub(inner: str, *, owner: bool = False) -> str:
    return f"<pubsub xmlns='{ns.PUBSUB_OWNER if owner else ns.PUBSUB}'>{inner}</pubsub>"


def rsm(inner: str) -> str:
    return f"<set xmlns='{ns.RSM}'>{inner}</set>"


NODE: Final = "urn:example:fuzz"
NODE_CONFIG: Final = f"{ns.PUBSUB}#node_config"
PUBLISHED: Final = ("set", pubsub(f"<publish node='{NODE}'><item id='one'><a xmlns='urn:example:a'/></item></publish>"))
KEPT: Final = ("set", f"<query xmlns='{ns.PRIVATE}'><notes xmlns='urn:example:notes'>mine</notes></query>")

INFORMATION: Final = (
    Row("disco#info of the server", "get", f"<query xmlns='{ns.DISCO_INFO}'/>", SERVER),
    Row("disco#info of a node", "get", f"<query xmlns='{ns.DISCO_INFO}' node='{ns.COMMANDS}'/>", SERVER),
    Row("disco#info of a host", "get", f"<query xmlns='{ns.DISCO_INFO}'/>", HOST),
    Row("disco#info of the account", "get", f"<query xmlns='{ns.DISCO_INFO}'/>"),
    Row("disco#items of the server", "get", f"<query xmlns='{ns.DISCO_ITEMS}'/>", SERVER),
    Row("disco#items of commands", "get", f"<query xmlns='{ns.DISCO_ITEMS}' node='{ns.COMMANDS}'/>", SERVER),
    Row("disco#items of a node", "get", f"<query xmlns='{ns.DISCO_ITEMS}' node='{NODE}'/>", before=(PUBLISHED,)),
    Row(
        "headers of offline messages",
        "get",
        f"<query xmlns='{ns.DISCO_ITEMS}' node='{ns.OFFLINE_RETRIEVAL}'/>",
    ),
    Row("last activity of the server", "get", f"<query xmlns='{ns.LAST_ACTIVITY}'/>", SERVER),
    Row("last activity of the account", "get", f"<query xmlns='{ns.LAST_ACTIVITY}'/>", error="item-not-found"),
    Row("version", "get", f"<query xmlns='{ns.VERSION}'/>", SERVER),
    Row("time", "get", f"<time xmlns='{ns.TIME}'/>", SERVER),
    Row("ping", "get", f"<ping xmlns='{ns.PING}'/>", SERVER),
    Row("ping of the account", "get", f"<ping xmlns='{ns.PING}'/>"),
    Row("external services", "get", f"<services xmlns='{ns.EXTERNAL_SERVICES}' type='turn'/>", SERVER),
    Row(
        "credentials",
        "get",
        f"<credentials xmlns='{ns.EXTERNAL_SERVICES}'><service host='turn.example' type='turn' port='3478'/>"
        "</credentials>",
        SERVER,
    ),
    Row("legacy session", "set", f"<session xmlns='{ns.SESSION}'/>"),
)

STORAGE: Final = (
    Row("private XML", "get", f"<query xmlns='{ns.PRIVATE}'><notes xmlns='urn:example:notes'/></query>"),
    Row("private XML to keep", *KEPT),
    Row(
        "legacy bookmarks to keep",
        "set",
        f"<query xmlns='{ns.PRIVATE}'><storage xmlns='{ns.BOOKMARKS_LEGACY}'>"
        "<conference jid='room@rooms.example' name='Room' autojoin='true'><nick>me</nick></conference></storage>"
        "</query>",
    ),
    Row("vCard", "get", f"<vCard xmlns='{ns.VCARD}'/>"),
    Row(
        "vCard to keep",
        "set",
        f"<vCard xmlns='{ns.VCARD}'><FN>Fuzz</FN><PHOTO><TYPE>image/png</TYPE><BINVAL>aGVsbG8=</BINVAL></PHOTO>"
        "</vCard>",
    ),
    Row("roster", "get", f"<query xmlns='{ns.ROSTER}' ver=''/>"),
    Row(
        "roster item",
        "set",
        f"<query xmlns='{ns.ROSTER}'><item jid='contact@{DOMAIN}' name='Name'><group>A</group><group>B</group></item>"
        "</query>",
    ),
    Row(
        "roster item to remove",
        "set",
        f"<query xmlns='{ns.ROSTER}'><item jid='gone@{DOMAIN}' subscription='remove'/></query>",
        before=(("set", f"<query xmlns='{ns.ROSTER}'><item jid='gone@{DOMAIN}'/></query>"),),
    ),
    Row("block list", "get", f"<blocklist xmlns='{ns.BLOCKING}'/>"),
    Row(
        "block",
        "set",
        f"<block xmlns='{ns.BLOCKING}'><item jid='enemy@{DOMAIN}'><report xmlns='{ns.REPORTING}' "
        f"reason='{ns.REPORTING_REASONS}:spam'><stanza-id xmlns='{ns.STANZA_ID}' by='x@{DOMAIN}' id='1'/>"
        "<text>why</text></report></item></block>",
    ),
    Row("unblock", "set", f"<unblock xmlns='{ns.BLOCKING}'><item jid='enemy@{DOMAIN}'/></unblock>"),
    Row(
        "offline message to view",
        "get",
        f"<offline xmlns='{ns.OFFLINE_RETRIEVAL}'><item action='view' node='1'/></offline>",
        error="item-not-found",
    ),
    Row("offline messages to fetch", "get", f"<offline xmlns='{ns.OFFLINE_RETRIEVAL}'><fetch/></offline>"),
    Row(
        "offline message to remove",
        "set",
        f"<offline xmlns='{ns.OFFLINE_RETRIEVAL}'><item action='remove' node='1'/></offline>",
        error="item-not-found",
    ),
    Row("offline messages to purge", "set", f"<offline xmlns='{ns.OFFLINE_RETRIEVAL}'><purge/></offline>"),
)

ARCHIVE: Final = (
    Row("form of the archive", "get", f"<query xmlns='{ns.MAM}'/>"),
    Row("metadata of the archive", "get", f"<metadata xmlns='{ns.MAM}'/>"),
    Row("preferences", "get", f"<prefs xmlns='{ns.MAM}'/>"),
    Row(
        "preferences to keep",
        "set",
        f"<prefs xmlns='{ns.MAM}' default='roster'><always><jid>a@{DOMAIN}</jid></always>"
        f"<never><jid>b@{DOMAIN}</jid></never></prefs>",
    ),
    Row(
        "archive",
        "set",
        f"<query xmlns='{ns.MAM}' queryid='q'>"
        + form(ns.MAM, **{"with": f"a@{DOMAIN}"}, start="2020-01-01T00:00:00Z", end="2100-01-01T00:00:00Z")
        + rsm("<max>5</max><before/>")
        + "</query>",
    ),
    Row(
        "archive by ids",
        "set",
        f"<query xmlns='{ns.MAM}'>{form(ns.MAM, ids='1700000000000-0')}</query>",
        error="item-not-found",
    ),
)

DEVICES: Final = (
    Row("carbons", "set", f"<enable xmlns='{ns.CARBONS}'/>"),
    Row("carbons off", "set", f"<disable xmlns='{ns.CARBONS}'/>"),
    Row(
        "push",
        "set",
        f"<enable xmlns='{ns.PUSH}' jid='{HOST}' node='device'>"
        + form(ns.PUBSUB_PUBLISH_OPTIONS, app="chat", token=APNS_TOKEN, environment="auto", content="none")
        + "</enable>",
    ),
    Row(
        "push with filters",
        "set",
        f"<enable xmlns='{ns.PUSH}' jid='{HOST}' node='filtered'>"
        + form(ns.PUBSUB_PUBLISH_OPTIONS, app="chat", token=APNS_TOKEN, voip_token=APNS_TOKEN, content="encrypted")
        + f"<encrypt xmlns='{ns.PUSH_ENCRYPT}' alg='aes-128-gcm'>AAECAwQFBgcICQoLDA0ODw==</encrypt>"
        f"<muted xmlns='{ns.PUSH_MUTED}'><item jid='nurse@{DOMAIN}'/></muted>"
        f"<groupchat xmlns='{ns.PUSH_GROUPCHAT}'>"
        f"<room jid='play@rooms.{DOMAIN}' allow='mentioned' nick='J'/></groupchat>"
        f"<ignore-unknown xmlns='{ns.PUSH_IGNORE_UNKNOWN}'/><priority xmlns='{ns.PUSH_PRIORITY}'/></enable>",
    ),
    Row(
        "push by an app server out of reach",
        "set",
        f"<enable xmlns='{ns.PUSH}' jid='push.elsewhere.example' node='device'>"
        + form(ns.PUBSUB_PUBLISH_OPTIONS, secret="s")
        + "</enable>",
        error="remote-server-not-found",
    ),
    Row("push off", "set", f"<disable xmlns='{ns.PUSH}' jid='{HOST}' node='device'/>"),
)

ACCOUNT: Final = (
    Row("registration", "get", f"<query xmlns='{ns.REGISTER}'/>", SERVER),
    Row(
        "password",
        "set",
        f"<query xmlns='{ns.REGISTER}'><username>%user</username><password>{PASSWORD}</password></query>",
        SERVER,
        ends=True,
    ),
    Row("removal", "set", f"<query xmlns='{ns.REGISTER}'><remove/></query>", ends=True),
)

EVENTING: Final = (
    Row("items", "get", pubsub(f"<items node='{NODE}'><item id='one'/></items>"), before=(PUBLISHED,)),
    Row(
        "items in pages",
        "get",
        pubsub(f"<items node='{NODE}' max_items='2'/>" + rsm("<max>2</max>")),
        before=(PUBLISHED,),
    ),
    Row("subscriptions", "get", pubsub(f"<subscriptions node='{NODE}'/>"), before=(PUBLISHED,)),
    Row("affiliations", "get", pubsub(f"<affiliations node='{NODE}'/>"), before=(PUBLISHED,)),
    Row(
        "publish",
        "set",
        pubsub(
            "<publish node='urn:example:private'><item id='i'><a xmlns='urn:example:a'>x<b/></a></item></publish>"
            "<publish-options>"
            + form(ns.PUBSUB_PUBLISH_OPTIONS, pubsub__access_model="whitelist", pubsub__max_items="max")
            + "</publish-options>"
        ),
    ),
    Row(
        "bookmark",
        "set",
        pubsub(
            f"<publish node='{ns.BOOKMARKS}'><item id='room@rooms.example'><conference xmlns='{ns.BOOKMARKS}' name='R' "
            "autojoin='1'><nick>n</nick></conference></item></publish>"
        ),
    ),
    Row(
        "avatar",
        "set",
        pubsub(
            f"<publish node='{ns.AVATAR_METADATA}'><item id='da39a3ee5e6b4b0d3255bfef95601890afd80709'>"
            f"<metadata xmlns='{ns.AVATAR_METADATA}'><info id='da39a3ee5e6b4b0d3255bfef95601890afd80709' bytes='1' "
            "type='image/png'/></metadata></item></publish>"
        ),
    ),
    Row(
        "avatar data",
        "set",
        pubsub(
            f"<publish node='{ns.AVATAR_DATA}'><item id='aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d'>"
            f"<data xmlns='{ns.AVATAR_DATA}'>aGVsbG8=</data></item></publish>"
        ),
    ),
    Row(
        "retract",
        "set",
        pubsub(f"<retract node='{NODE}' notify='1'><item id='none'/></retract>"),
        before=(PUBLISHED,),
        error="item-not-found",
    ),
    Row(
        "create",
        "set",
        pubsub(
            "<create/><configure>"
            + form(NODE_CONFIG, pubsub__max_items="3", pubsub__access_model="open")
            + "</configure>"
        ),
    ),
    Row("subscribe", "set", pubsub(f"<subscribe node='{NODE}' jid='%own'/>"), before=(PUBLISHED,)),
    Row(
        "unsubscribe",
        "set",
        pubsub(f"<unsubscribe node='{NODE}' jid='%own'/>"),
        before=(PUBLISHED, ("set", pubsub(f"<subscribe node='{NODE}' jid='%own'/>"))),
    ),
    Row("node configuration", "get", pubsub(f"<configure node='{NODE}'/>", owner=True), before=(PUBLISHED,)),
    Row("default configuration", "get", pubsub("<default/>", owner=True)),
    Row("node affiliations", "get", pubsub(f"<affiliations node='{NODE}'/>", owner=True), before=(PUBLISHED,)),
    Row(
        "configure",
        "set",
        pubsub(
            f"<configure node='{NODE}'>"
            + form(NODE_CONFIG, pubsub__title="T", pubsub__notify_retract="1", pubsub__roster_groups_allowed="A")
            + "</configure>",
            owner=True,
        ),
        before=(PUBLISHED,),
    ),
    Row(
        "affiliate",
        "set",
        pubsub(
            f"<affiliations node='{NODE}'><affiliation jid='m@{DOMAIN}' affiliation='member'/></affiliations>",
            owner=True,
        ),
        before=(PUBLISHED,),
    ),
    Row("purge", "set", pubsub(f"<purge node='{NODE}'/>", owner=True), before=(PUBLISHED,)),
    Row("delete", "set", pubsub("<delete node='none'/>", owner=True), error="item-not-found"),
)


def _commands() -> tuple[Row, ...]:
    """Each ad-hoc command; most of them are for admins."""
    nodes = [command.node for feature in FEATURES for command in feature.commands]
    return tuple(
        Row(
            f"command {node}",
            "set",
            f"<command xmlns='{ns.COMMANDS}' node='{node}' action='execute'/>",
            SERVER,
            error="" if node == f"{ns.INVITE}#invite" else "forbidden",
        )
        for node in nodes
    )


ROWS: Final = {row.name: row for row in INFORMATION + STORAGE + ARCHIVE + DEVICES + ACCOUNT + EVENTING + _commands()}

REPLIES: Final = {
    "caps": f"<query xmlns='{ns.DISCO_INFO}' node='urn:example#x'><identity category='client' type='pc'/>"
    f"<feature var='{NODE}+notify'/><x xmlns='{ns.DATA_FORMS}' type='result'><field var='FORM_TYPE' type='hidden'>"
    "<value>urn:example:form</value></field><field var='os'><value>x</value></field></x></query>",
    "push": f"<pubsub xmlns='{ns.PUBSUB}'><publish node='device'><item id='1'/></publish></pubsub>",
}
"""prefix of the ids of what the server asks of clients -> the payload of an answer"""

NONZAS: Final = {(ns.CSI, name): f"<{name} xmlns='{ns.CSI}'/>" for name in ("active", "inactive")}

DECLARED: Final = Features(FEATURES)

"""XEP-0153 and XEP-0398 on the wire: one avatar, in the vCard, as events, and in presence."""

import base64
import hashlib
import time
from collections.abc import Callable
from xml.etree.ElementTree import Element

import gevent
import pytest

from gateway.xmpp import ns
from tests.support.iq import ask, error_of, features, info, let_see, result
from tests.support.phone import Phone, stanza
from tests.support.processes import Server

NEWS_S = 15.0

TWICE_S = 0.5
"""what is told twice has come by then"""

IMAGE, OTHER = b"\x89PNG one", b"\x89PNG two"
HASH, OTHER_HASH = hashlib.sha1(IMAGE).hexdigest(), hashlib.sha1(OTHER).hexdigest()
GET = f"<vCard xmlns='{ns.VCARD}'/>"
OPEN = (
    f"<publish-options><x xmlns='{ns.DATA_FORMS}' type='submit'>"
    f"<field var='FORM_TYPE' type='hidden'><value>{ns.PUBSUB_PUBLISH_OPTIONS}</value></field>"
    "<field var='pubsub#access_model'><value>open</value></field></x></publish-options>"
)


def on(server: Server, resource: str = "phone") -> Phone:
    return Phone(server, server.account()).bind(resource)


def encoded(image: bytes) -> str:
    return base64.b64encode(image).decode()


def keep(phone: Phone, image: bytes | None, name: str = "Juliet") -> None:
    photo = f"<PHOTO><TYPE>image/png</TYPE><BINVAL>\n {encoded(image)}\n</BINVAL></PHOTO>" if image else ""
    answer = ask(phone, f"<vCard xmlns='{ns.VCARD}'><FN>{name}</FN>{photo}<URL/></vCard>", type="set")

    assert "result" == answer.get("type"), error_of(answer)


def publish(phone: Phone, node: str, item: str, payload: str, options: str = OPEN) -> None:
    publishing = f"<publish node='{node}'><item id='{item}'>{payload}</item></publish>"
    answer = ask(phone, f"<pubsub xmlns='{ns.PUBSUB}'>{publishing}{options}</pubsub>", type="set")

    assert "result" == answer.get("type"), error_of(answer)


def publish_avatar(phone: Phone, image: bytes, options: str = OPEN, name: str = "") -> None:
    item = name or hashlib.sha1(image).hexdigest()
    publish(phone, ns.AVATAR_DATA, item, f"<data xmlns='{ns.AVATAR_DATA}'>{encoded(image)}</data>", options)
    elsewhere = f"<info bytes='1' id='{OTHER_HASH}' type='image/gif' url='https://localhost/x'/>"
    here = f"<info bytes='{len(image)}' id='{item}' type='image/png'/>"
    metadata = f"<metadata xmlns='{ns.AVATAR_METADATA}'>{elsewhere}{here}</metadata>"
    publish(phone, ns.AVATAR_METADATA, item, metadata, options)


def items(phone: Phone, node: str) -> list[Element]:
    query = f"<pubsub xmlns='{ns.PUBSUB}'><items node='{node}'/></pubsub>"
    return list(result(phone, query, to=phone.account.jid)[0])


def photo(phone: Phone) -> bytes:
    text = result(phone, GET).findtext(f"{{{ns.VCARD}}}PHOTO/{{{ns.VCARD}}}BINVAL")
    return base64.b64decode(text or "")


def seen(phone: Phone, presence: str) -> Element:
    """The presence as the account's own devices get it."""
    phone.send(presence)
    return phone.skip_to(stanza("presence"))


def shown(presence: Element) -> list[str | None]:
    """Each hash that the presence tells; None for an <x/> that is not ready to say."""
    return [
        None if (told := x.find(f"{{{ns.VCARD_UPDATE}}}photo")) is None else told.text or ""
        for x in presence.iter(f"{{{ns.VCARD_UPDATE}}}x")
    ]


# Presence


def test_presence_without_a_vcard_is_left_alone(server: Server) -> None:
    assert [] == shown(seen(on(server), "<presence/>"))


def test_the_hash_is_put_where_the_client_says_nothing_or_is_not_ready(server: Server) -> None:
    phone = on(server)
    keep(phone, IMAGE)

    assert [HASH] == shown(seen(phone, "<presence/>"))
    both = seen(phone, f"<presence><show>away</show><x xmlns='{ns.VCARD_UPDATE}'/><status>s</status></presence>")
    assert [HASH] == shown(both)
    assert ["show", "status", "x"] == [child.tag.split("}")[1] for child in both]


def test_a_client_that_shows_no_avatar_shows_none(server: Server) -> None:
    phone = on(server)
    keep(phone, IMAGE)

    assert [""] == shown(seen(phone, f"<presence><x xmlns='{ns.VCARD_UPDATE}'><photo/></x></presence>"))


def test_a_client_that_is_behind_is_put_right(server: Server) -> None:
    phone = on(server)
    keep(phone, IMAGE)

    old = f"<presence><x xmlns='{ns.VCARD_UPDATE}'><photo>{OTHER_HASH}</photo></x></presence>"
    assert [HASH] == shown(seen(phone, old))


def test_a_vcard_without_a_photo_says_so(server: Server) -> None:
    phone = on(server)
    keep(phone, None)

    assert [""] == shown(seen(phone, "<presence/>"))


def test_going_says_nothing_of_avatars(server: Server) -> None:
    phone = on(server)
    keep(phone, IMAGE)
    tablet = Phone(server, phone.account).bind("tablet").available()
    phone.available()
    tablet.round_trip()
    phone.send("<presence type='unavailable'/>")
    phone.round_trip()

    gone = tablet.next()
    while gone.get("type") != "unavailable":
        gone = tablet.next()
    assert [] == shown(gone)


def test_directed_presence_tells_it_too(server: Server) -> None:
    juliet, romeo = on(server), on(server).available()
    keep(juliet, IMAGE)
    juliet.send(f"<presence to='{romeo.jid}'/>")

    directed = romeo.skip_to(stanza("presence"))
    assert [HASH] == shown(directed)


# A new avatar


def contact_of(server: Server, *phones: Phone) -> Phone:
    """Somebody who gets these phones' presence, and has it."""
    contact = Phone(server, server.account())
    for account in {phone.account for phone in phones}:
        let_see(server, contact.account, account, "to")
        let_see(server, account, contact.account)
    contact.bind().send("<presence/>")
    for _ in range(1 + len(phones)):
        contact.skip_to(stanza("presence"))
    return contact


def news_until(watcher: Phone, last: str) -> list[str | None]:
    """Hashes in presence until there is the one that is waited for. Presence may be told twice, which does no harm: by
    who changed it, and by a sweeper that finds it untold.
    """
    found: list[str | None] = []
    deadline = time.monotonic() + NEWS_S
    while last not in found and time.monotonic() < deadline:
        found += [hashed for _, shown_ in news(watcher) for hashed in shown_]
    return found


def news(watcher: Phone, least: int = 0) -> list[tuple[str, list[str | None]]]:
    """Presence until now, of whom and with what hash, each once (see `news_until`); waits for so many, which may come
    after what caused them.
    """
    found: list[tuple[str, list[str | None]]] = []
    deadline = time.monotonic() + NEWS_S
    while True:
        watcher.send(f"<message to='{watcher.jid}'><body>fence</body></message>")
        while (element := watcher.next()).tag != stanza("message"):
            if element.tag == stanza("presence"):
                told = element.get("from", "").rpartition("/")[2], shown(element)
                if told not in found:
                    found.append(told)
        if len(found) >= least or time.monotonic() > deadline:
            return found
        gevent.sleep(0.05)


@pytest.mark.parametrize("change", [keep, publish_avatar])
def test_contacts_and_own_devices_get_presence_with_a_new_avatar_once(
    server: Server, change: Callable[[Phone, bytes], None]
) -> None:
    phone = on(server).available()
    tablet = Phone(server, phone.account).bind("tablet")
    tablet.send("<presence><show>away</show></presence>")
    tablet.round_trip()
    contact = contact_of(server, phone, tablet)
    news(tablet)
    change(phone, IMAGE)

    assert [("phone", [HASH])] == news(tablet, 1)
    assert [("phone", [HASH]), ("tablet", [HASH])] == sorted(news(contact, 2))
    gevent.sleep(TWICE_S)
    news(contact)
    change(phone, IMAGE)
    assert [] == news(contact)
    change(phone, OTHER)
    assert [("phone", [OTHER_HASH]), ("tablet", [OTHER_HASH])] == sorted(news(contact, 2))


def test_contacts_are_told_of_an_avatar_that_is_gone_and_of_the_next_one(server: Server) -> None:
    phone = on(server)
    keep(phone, IMAGE)
    phone.send(f"<presence><x xmlns='{ns.VCARD_UPDATE}'><photo>{HASH}</photo></x><status>s</status></presence>")
    phone.round_trip()
    contact = contact_of(server, phone)
    keep(phone, None)

    assert {""} == set(news_until(contact, ""))
    keep(phone, OTHER)
    assert {OTHER_HASH} == set(news_until(contact, OTHER_HASH)) - {""}


def test_a_vcard_without_a_photo_is_no_news(server: Server) -> None:
    phone = on(server).available()
    contact = contact_of(server, phone)
    keep(phone, None)
    keep(phone, None, name="Capulet")

    assert [] == news(contact)


def test_a_client_that_shows_no_avatar_shows_no_new_one_either(server: Server) -> None:
    phone = on(server)
    phone.send(f"<presence><x xmlns='{ns.VCARD_UPDATE}'><photo/></x></presence>")
    phone.round_trip()
    contact = contact_of(server, phone)
    keep(phone, IMAGE)

    assert [] == news(contact)


def test_a_sleeping_phone_shows_the_new_avatar_too_and_who_comes_later_sees_it(server: Server) -> None:
    phone = on(server)
    phone.enable()
    phone.available()
    tablet = Phone(server, phone.account).bind("tablet")
    contact = contact_of(server, phone)
    phone.cut()
    keep(tablet, IMAGE)

    assert [("phone", [HASH])] == news(contact, 1)
    again = Phone(server, contact.account).bind("later")
    again.send("<presence/>")
    while (presence := again.skip_to(stanza("presence"))).get("from") != phone.jid:
        pass
    assert [HASH] == shown(presence)


# Conversion


def test_the_account_says_that_avatars_are_converted(server: Server) -> None:
    phone = on(server)

    assert ns.AVATAR_CONVERSION in features(info(phone, phone.account.jid))


def test_a_published_avatar_is_in_the_vcard_which_is_otherwise_as_it_was(server: Server) -> None:
    phone = on(server)
    keep(phone, OTHER, name="Capulet")
    publish_avatar(phone, IMAGE)

    card = result(phone, GET)
    assert IMAGE == photo(phone)
    assert "Capulet" == card.findtext(f"{{{ns.VCARD}}}FN")
    assert ["FN", "URL", "PHOTO"] == [child.tag.split("}")[1] for child in card]
    assert [HASH] == shown(seen(phone, "<presence/>"))


def test_a_published_avatar_makes_a_vcard(server: Server) -> None:
    phone = on(server)
    publish_avatar(phone, IMAGE)

    assert IMAGE == photo(phone)


def test_an_avatar_that_is_taken_back_leaves_the_vcard(server: Server) -> None:
    phone = on(server)
    keep(phone, None)
    publish_avatar(phone, IMAGE)
    publish(phone, ns.AVATAR_METADATA, "none", f"<metadata xmlns='{ns.AVATAR_METADATA}'/>")

    assert ["FN", "URL"] == [child.tag.split("}")[1] for child in result(phone, GET)]
    assert [""] == shown(seen(phone, "<presence/>"))


def test_an_avatar_that_only_contacts_may_see_stays_out_of_the_vcard(server: Server) -> None:
    phone = on(server)
    publish_avatar(phone, IMAGE, options="")

    assert b"" == photo(phone)


@pytest.mark.parametrize("name", [OTHER_HASH, "x"])
def test_an_image_that_is_not_what_its_name_says_stays_out_of_the_vcard(server: Server, name: str) -> None:
    phone = on(server)
    publish_avatar(phone, IMAGE, name=name)

    assert b"" == photo(phone)


@pytest.mark.parametrize("metadata", ["<x/>", "text", "<info/>", f"<info id='{HASH}'/>", "<info id='&lt;'/>"])
def test_odd_metadata_changes_nothing(server: Server, metadata: str) -> None:
    phone = on(server)
    keep(phone, IMAGE)
    publish(phone, ns.AVATAR_METADATA, "x", f"<metadata xmlns='{ns.AVATAR_METADATA}'>{metadata}</metadata>")

    assert IMAGE == photo(phone)


def test_a_photo_in_the_vcard_is_published(server: Server) -> None:
    phone, stranger = on(server), on(server)
    keep(phone, IMAGE)

    (data,) = items(phone, ns.AVATAR_DATA)
    (metadata,) = items(phone, ns.AVATAR_METADATA)
    told = metadata[0][0]
    assert (HASH, IMAGE) == (data.get("id"), base64.b64decode(data[0].text or ""))
    assert (HASH, HASH) == (metadata.get("id"), told.get("id"))
    assert ("image/png", str(len(IMAGE))) == (told.get("type"), told.get("bytes"))
    query = f"<pubsub xmlns='{ns.PUBSUB}'><items node='{ns.AVATAR_DATA}'/></pubsub>"
    assert 1 == len(result(stranger, query, to=phone.account.jid)[0])


def test_a_photo_that_leaves_the_vcard_is_taken_back(server: Server) -> None:
    phone = on(server)
    keep(phone, IMAGE)
    keep(phone, None)

    (metadata,) = items(phone, ns.AVATAR_METADATA)
    assert 0 == len(metadata[0])


def test_a_vcard_with_the_same_photo_publishes_nothing_anew(server: Server) -> None:
    phone = on(server)
    keep(phone, IMAGE)
    publish(phone, ns.AVATAR_METADATA, "mine", f"<metadata xmlns='{ns.AVATAR_METADATA}'><x xmlns='urn:x'/></metadata>")
    keep(phone, IMAGE, name="Other")

    assert ["mine"] == [item.get("id") for item in items(phone, ns.AVATAR_METADATA)]

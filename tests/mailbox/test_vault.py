"""What an account keeps on the server: byte for byte, bounded, gone with the account."""

from __future__ import annotations

from gateway.mailbox import keys
from gateway.mailbox.vault import NO_PHOTO, StorageSettings, Vault
from tests.mailbox.world import JULIET, ROMEO, World

SMALL = StorageSettings(private_xml_bytes=20, private_xml_entries=2, vcard_bytes=20)
ODD = b"<a xmlns='urn:a' \n b=\"1\">\xc3\xa4\r\n</a>"


def test_what_is_kept_comes_back_byte_for_byte(world: World) -> None:
    vault = Vault(world.mailbox)

    assert vault.keep_private(JULIET, {"{urn:a}a": ODD}, StorageSettings())
    assert [ODD, b""] == vault.private(JULIET, ["{urn:a}a", "{urn:b}a"])


def test_a_value_replaces_its_former_and_an_empty_one_takes_it_away(world: World) -> None:
    vault = Vault(world.mailbox)
    vault.keep_private(JULIET, {"a": b"<a/>", "b": b"<b/>"}, SMALL)

    assert vault.keep_private(JULIET, {"a": b"", "b": b"<c/>"}, SMALL)
    assert [b"", b"<c/>"] == vault.private(JULIET, ["a", "b"])
    assert 1 == world.redis.hlen(keys.key(world.at, "private", JULIET))


def test_too_many_names_are_refused_and_nothing_is_changed(world: World) -> None:
    vault = Vault(world.mailbox)
    vault.keep_private(JULIET, {"a": b"<a/>"}, SMALL)

    assert not vault.keep_private(JULIET, {"a": b"<z/>", "b": b"<b/>", "c": b"<c/>"}, SMALL)
    assert [b"<a/>", b"", b""] == vault.private(JULIET, ["a", "b", "c"])


def test_too_many_bytes_are_refused_whoever_holds_them(world: World) -> None:
    vault = Vault(world.mailbox)

    assert not vault.keep_private(JULIET, {"a": b"x" * 21}, SMALL)
    assert vault.keep_private(JULIET, {"a": b"x" * 20}, SMALL)
    assert not vault.keep_private(JULIET, {"b": b"x"}, SMALL)
    assert vault.keep_private(JULIET, {"a": b"x", "b": b"x" * 19}, SMALL)


def test_the_vcard_has_its_own_limit(world: World) -> None:
    vault = Vault(world.mailbox)
    vault.keep_private(JULIET, {"a": b"x" * 20}, SMALL)

    assert vault.keep_card(JULIET, b"x" * 20, b"0" * 40, SMALL)
    assert not vault.keep_card(JULIET, b"y" * 21, NO_PHOTO, SMALL)
    assert b"x" * 20 == vault.card(user=JULIET, asker=ROMEO)
    assert b"0" * 40 == vault.photo(JULIET)


def test_without_an_account_nothing_is_kept_or_shown(world: World) -> None:
    vault = Vault(world.mailbox)

    assert not vault.keep_card("nobody@localhost", b"<vCard/>", NO_PHOTO, SMALL)
    assert b"" == vault.card(user="nobody@localhost", asker=ROMEO)
    assert b"" == vault.photo("nobody@localhost")


def test_who_is_blocked_gets_no_vcard(world: World) -> None:
    vault = Vault(world.mailbox)
    vault.keep_card(JULIET, b"<vCard/>", NO_PHOTO, SMALL)
    world.redis.sadd(keys.key(world.at, "blocked", JULIET), "romeo@localhost")

    assert b"" == vault.card(user=JULIET, asker=ROMEO)
    assert b"<vCard/>" == vault.card(user=JULIET, asker=f"{JULIET}/phone")


def test_an_account_takes_with_it_what_it_kept(world: World) -> None:
    vault = Vault(world.mailbox)
    vault.keep_private(JULIET, {"a": b"<a/>"}, SMALL)
    vault.keep_card(JULIET, b"<vCard/>", NO_PHOTO, SMALL)

    world.accounts.remove(JULIET)

    assert 0 == world.redis.exists(keys.key(world.at, "private", JULIET), keys.key(world.at, "vcard", JULIET))

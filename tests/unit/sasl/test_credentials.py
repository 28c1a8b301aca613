"""RFC 5802 §3 and RFC 4013: what is kept instead of a password."""

import pytest

from gateway.xmpp.sasl import Credentials, CredentialsCorrupt, PasswordRejected, decoy, derive, verify
from gateway.xmpp.sasl.prepare import saslprep

SALT = b"0123456789abcdef"


def credentials_for(password: str) -> Credentials:
    return derive(password, salt=SALT, iterations=4096)


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("", ""),
        ("\u0627\u0031\u0628", "\u0627\u0031\u0628"),
        ("smile \U0001f600", "smile \U0001f600"),
    ],
)
def test_saslprep_prepares_as_rfc_4013_section_3_shows(text: str, prepared: str) -> None:
    assert prepared == saslprep(text)


@pytest.mark.parametrize("text", ["\u0007", "\u0627\u0031", "\u0627a\u0628", "a\ud800b", "\ue000", "a\tb", "\ufffd"])
def test_saslprep_refuses_what_rfc_4013_prohibits(text: str) -> None:
    with pytest.raises(ValueError, match="SASLprep"):
        saslprep(text)


def test_the_right_password_is_recognised_and_another_is_not() -> None:
    known = credentials_for("pencil")

    assert (True, False, False) == (verify("pencil", known), verify("Pencil", known), verify("", known))


def test_passwords_that_prepare_to_the_same_text_are_the_same() -> None:
    assert verify("IX", credentials_for("\u2168"))


def test_a_password_that_cannot_be_prepared_is_wrong_not_an_error() -> None:
    assert not verify("\u0007", credentials_for("pencil"))


@pytest.mark.parametrize("password", ["", "\u00ad", "\u0007"])
def test_a_password_that_nobody_could_use_is_rejected(password: str) -> None:
    with pytest.raises(PasswordRejected, match="this password cannot be used"):
        credentials_for(password)


def test_credentials_survive_being_stored() -> None:
    known = credentials_for("pencil")

    assert known == Credentials.from_fields({**known.to_fields(), "created": "1"})


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"sha1": "4096:AAAA:AAAA:AAAA"},
        {"sha1": "4096:AAAA:AAAA:AAAA", "sha256": "4096:AAAA:AAAA"},
        {"sha1": "4096:AAAA:AAAA:AAAA", "sha256": "many:AAAA:AAAA:AAAA"},
        {"sha1": "4096:AAAA:AAAA:AAAA", "sha256": "4096:A!AA:AAAA:AAAA"},
    ],
)
def test_damaged_credentials_are_reported_as_such(fields: dict[str, str]) -> None:
    with pytest.raises(CredentialsCorrupt):
        Credentials.from_fields(fields)


def test_a_decoy_looks_like_an_account_of_its_own_that_no_password_opens() -> None:
    one, again = decoy("nobody", b"secret"), decoy("nobody", b"secret")
    other, elsewhere = decoy("nobody2", b"secret"), decoy("nobody", b"other secret")

    assert one == again
    assert 3 == len({one.sha1.salt, other.sha1.salt, elsewhere.sha1.salt})
    assert one.sha1.salt == one.sha256.salt
    assert (16, 20, 32) == (len(one.sha1.salt), len(one.sha1.stored_key), len(one.sha256.stored_key))
    assert not verify("nobody", one)


def test_keys_do_not_show_in_a_representation() -> None:
    known = credentials_for("pencil")

    assert "Credentials(sha1=ScramKeys(iterations=4096, ...), sha256=ScramKeys(iterations=4096, ...))" == repr(known)

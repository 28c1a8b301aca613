"""Putting an app into the configuration: the section, the copies of credentials, and what is said of them before."""

from __future__ import annotations

import datetime
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.configuration import sections
from gateway.settings import reference
from workers.push.configure import certificates
from workers.push.configure.placing import place
from workers.push.configure.review import review
from workers.push.configure.section import SectionError, held, with_section, write
from workers.push.credential import CredentialError
from workers.push.settings import AppSettings

IOS = ("push", "apps", "chat-ios")
DROID = ("push", "apps", "chat-android")
NOON = 1_800_000_000.0


# The section


def test_a_section_is_added_to_nothing() -> None:
    assert '[push.apps.chat-ios]\nprovider = "apns"\nbadge = false\n' == with_section(
        "", IOS, {"provider": "apns", "badge": False}
    )


def test_the_rest_of_a_file_stays_to_the_last_byte() -> None:
    text = "# ours\n[server]\ndomains = ['a']   # one\n\n\n# the end"

    written = with_section(text, IOS, {"provider": "apns"})

    assert written.startswith(text)
    assert {"provider": "apns"} == held(written, IOS)


def test_the_documented_default_file_takes_one() -> None:
    text = reference(sections())

    assert {"provider": "fcm"} == held(with_section(text, DROID, {"provider": "fcm"}), DROID)


def test_an_app_stands_behind_its_last_neighbour() -> None:
    text = "[push.apps.chat-ios]\nprovider = 'apns'\n\n# of the log\n[log]\nlevel = 'info'\n"

    written = with_section(text, DROID, {"provider": "fcm"})

    assert written.index("chat-ios") < written.index("chat-android") < written.index("# of the log")


def test_what_does_not_change_in_a_section_keeps_its_line_and_comments_stay() -> None:
    text = "[push.apps.chat-ios]   # ours\n# of Apple\nprovider = 'apns' # yes\ntopic = 'x'\n# so\nkey_id = '1'\n"

    written = with_section(text, IOS, {"provider": "apns", "topic": "y", "content": "none"}, replace=True)

    assert (
        "[push.apps.chat-ios]   # ours\n# of Apple\nprovider = 'apns' # yes\ntopic = \"y\"\n# so\n"
        'content = "none"\n' == written
    )


def test_line_ends_stay_as_they_are() -> None:
    text = "[log]\r\nlevel = 'info'\r\n"

    assert text + '\r\n[push.apps.chat-ios]\r\nprovider = "fcm"\r\n' == with_section(text, IOS, {"provider": "fcm"})


LINES = st.sampled_from(
    ["# a comment", "", "   ", "[log]", "[push]", "[push.apps.other]", '[push.apps."chat-ios"]', "[web]", "level = 'x'",
     "names = [", "  'a', # one", "]", 'text = """', '"""', "[[list]]", "a.b = 1", "number = 1_000", "\tz = true"]
)  # fmt: skip


@given(st.lists(LINES, max_size=25), st.booleans())
@example(['[push.apps."chat-ios"]', "# a comment", "level = 'x'"], True)
def test_whatever_the_file_is_only_that_section_changes_or_nothing(lines: list[str], replace: bool) -> None:
    text = "\n".join(lines)
    try:
        before = tomllib.loads(text)
        written = with_section(text, IOS, {"provider": "fcm"}, replace=replace)
    except (tomllib.TOMLDecodeError, SectionError):
        return
    after = tomllib.loads(written)

    assert {"provider": "fcm"} == after["push"]["apps"].pop("chat-ios")
    before.get("push", {}).get("apps", {}).pop("chat-ios", None)
    assert _pruned(before) == _pruned(after)
    assert [line for line in lines if line.startswith("#")] == [
        line for line in written.splitlines() if line.startswith("#")
    ]  # fmt: skip


def _pruned(tree: dict[str, Any]) -> dict[str, Any]:
    """Less an empty [push] and [push.apps]: that they were not there before is no difference."""
    push = {key: value for key, value in tree.get("push", {}).items() if value != {} or key != "apps"}
    rest = {key: value for key, value in tree.items() if key != "push"}
    return {**rest, "push": push} if push else rest


def test_a_section_is_not_replaced_unless_that_is_wanted() -> None:
    text = "[push.apps.chat-ios]\nprovider = 'apns'\n"

    with pytest.raises(SectionError, match="--replace"):
        with_section(text, IOS, {"provider": "fcm"})


def test_a_section_is_replaced_and_what_follows_keeps_its_comments() -> None:
    text = "[push.apps.chat-ios]\nprovider = 'apns'\ntopic = 'x'\n# of the log\n\n[log]\nlevel = 'info'\n"

    written = with_section(text, IOS, {"provider": "fcm"}, replace=True)

    assert "[push.apps.chat-ios]\nprovider = \"fcm\"\n# of the log\n\n[log]\nlevel = 'info'\n" == written


@pytest.mark.parametrize(
    "text",
    [
        "push = {apps = {chat-ios = {provider = 'apns'}}}\n",
        "[push]\napps.chat-ios.provider = 'apns'\n",
        "[push.apps]\nchat-ios = {provider = 'apns'}\n",
    ],
)
def test_what_is_written_in_an_unusual_way_is_left_to_its_author(text: str) -> None:
    with pytest.raises(SectionError, match="by hand"):
        with_section(text, IOS, {"provider": "fcm"}, replace=True)


def test_a_header_within_a_text_is_none() -> None:
    text = "[contact]\nnote = '''\n[push.apps.chat-ios]\nprovider = 'apns'\n'''\n"

    with pytest.raises(SectionError, match="by hand"):
        with_section(text, IOS, {"provider": "fcm"}, replace=True)
    assert tomllib.loads(text)["contact"]["note"].startswith("[push")


def test_a_file_that_is_not_toml_is_not_touched() -> None:
    with pytest.raises(SectionError, match="not TOML"):
        with_section("[server\n", IOS, {})


def test_writing_keeps_mode_and_link_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    real = tmp_path / "real.toml"
    real.write_text("# old\n")
    real.chmod(0o604)
    link = tmp_path / "wakegate.toml"
    link.symlink_to(real)

    write(link, "# new\n")

    assert "# new\n" == real.read_text()
    assert link.is_symlink()
    assert 0o604 == stat.S_IMODE(real.stat().st_mode)
    assert {"real.toml", "wakegate.toml"} == {path.name for path in tmp_path.iterdir()}


# The copies


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_credential_is_copied_for_its_owner_only(tmp_path: Path) -> None:
    source = tmp_path / "AuthKey_ABCDE12345.p8"
    source.write_bytes(b"secret")
    source.chmod(0o644)

    target = place(source, tmp_path / "config" / "credentials", app="ios", replace=False)

    assert tmp_path / "config" / "credentials" / "AuthKey_ABCDE12345.p8" == target
    assert b"secret" == target.read_bytes()
    assert (0o600, 0o700) == (mode(target), mode(target.parent))


def test_apps_that_share_a_key_share_its_file_and_another_key_of_that_name_gets_its_own(tmp_path: Path) -> None:
    directory = tmp_path / "credentials"
    key, other = tmp_path / "AuthKey.p8", tmp_path / "other" / "AuthKey.p8"
    other.parent.mkdir()
    key.write_bytes(b"one")
    other.write_bytes(b"two")

    assert place(key, directory, app="ios", replace=False) == place(key, directory, app="mac", replace=False)
    assert directory / "mac-AuthKey.p8" == place(other, directory, app="mac", replace=False)
    assert b"one" == (directory / "AuthKey.p8").read_bytes()


def test_a_key_of_the_same_app_and_name_is_replaced_only_if_that_is_wanted(tmp_path: Path) -> None:
    directory, key = tmp_path / "credentials", tmp_path / "AuthKey.p8"
    for content in (b"one", b"two"):
        key.write_bytes(content)
        place(key, directory, app="ios", replace=False)
    key.write_bytes(b"three")

    with pytest.raises(CredentialError, match="--replace"):
        place(key, directory, app="ios", replace=False)
    assert b"three" == place(key, directory, app="ios", replace=True).read_bytes()


def test_a_file_that_is_no_credential_by_its_size_is_not_copied(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(2_000_000))

    with pytest.raises(CredentialError, match="too large"):
        place(large, tmp_path / "credentials", app="ios", replace=False)


# What is said of credentials


def faults(app: AppSettings, *, now: float = NOON) -> str:
    return "\n".join(remark.text for remark in review(app, now=now) if remark.fault)


def a_key(directory: Path, name: str = "AuthKey.p8") -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    path = directory / name
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(path)


def an_app(directory: Path, **fields: Any) -> AppSettings:
    values = {"provider": "apns", "topic": "org.example.chat", "team_id": "TEAM123456", "key_id": "KEY1234567"}
    if "certificate_file" in fields:
        values = {"provider": "apns", "topic": "org.example.chat"}
    else:
        values["key_file"] = a_key(directory)
    return AppSettings(**{**values, **fields})


def test_a_good_key_is_said_to_sign(tmp_path: Path) -> None:
    (remark,) = review(an_app(tmp_path))

    assert "the key KEY1234567 of team TEAM123456 signs" == remark.text
    assert not remark.fault


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"topic": "Chat"}, "topic: a bundle ID looks like org.example.chat, got 'Chat'"),
        ({"topic": "org.example.chat.voip"}, "the suffix .voip is added"),
        ({"topic": "TEAM123456.org.example.chat"}, "without the team's prefix"),
        ({"team_id": "team123456"}, "team_id: ten capital letters and digits"),
        ({"team_id": "TEAM12345"}, "team_id: has ten characters at Apple, got 9"),
        ({"key_id": ""}, "key_id: must be set"),
    ],
)
def test_what_cannot_be_right_at_apple_is_a_fault(tmp_path: Path, fields: dict[str, str], fault: str) -> None:
    assert fault in faults(an_app(tmp_path, **fields))


def test_a_key_id_that_is_not_the_file_s_is_a_fault(tmp_path: Path) -> None:
    key = a_key(tmp_path, "AuthKey_ABCDE12345.p8")

    assert "key_id: is KEY1234567, but Apple named the file after the key ABCDE12345" == faults(
        an_app(tmp_path, key_file=key)
    )


def a_certificate(
    directory: Path,
    *,
    topic: str = "org.example.chat",
    listed: bytes = b"",
    days: tuple[int, int] = (-10, 300),
    environments: tuple[str, ...] = ("production", "sandbox"),
    with_key: bool = True,
) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.USER_ID, topic)] if topic else [])
    noon = datetime.datetime.fromtimestamp(NOON, datetime.UTC)
    builder = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key())
        .serial_number(1)
        .not_valid_before(noon + datetime.timedelta(days=days[0]))
        .not_valid_after(noon + datetime.timedelta(days=days[1]))
    )
    for environment in environments:
        held_ = x509.UnrecognizedExtension(certificates.ENVIRONMENTS[environment], b"\x05\x00")
        builder = builder.add_extension(held_, critical=False)
    if listed:
        builder = builder.add_extension(x509.UnrecognizedExtension(certificates.TOPICS, listed), critical=False)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    if with_key:
        pem += key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = directory / "push.pem"
    path.write_bytes(pem)
    return str(path)


def der(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return bytes([tag, len(content)]) + content if len(content) < 128 else bytes([tag, 0x81, len(content)]) + content


def test_a_good_certificate_is_good_until_its_day(tmp_path: Path) -> None:
    (remark,) = review(an_app(tmp_path, certificate_file=a_certificate(tmp_path)), now=NOON)

    assert ("the certificate is good until 2027-11-11", False) == (remark.text, remark.fault)


def test_a_certificate_that_ends_soon_is_no_fault_but_said(tmp_path: Path) -> None:
    (remark,) = review(an_app(tmp_path, certificate_file=a_certificate(tmp_path, days=(-300, 20))), now=NOON)

    assert "expires soon" in remark.text
    assert not remark.fault


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"days": (-400, -1)}, "the certificate has expired on 2027-01-14"),
        ({"days": (2, 300)}, "the certificate is not valid before 2027-01-17"),
        ({"topic": "org.example.other"}, "is for org.example.other, not for topic org.example.chat"),
        ({"topic": ""}, "is no push certificate: it names no app"),
        ({"environments": ("sandbox",)}, "is not for production, only for sandbox"),
        ({"with_key": False}, "does not hold a certificate and its private key in PEM form"),
    ],
)
def test_a_certificate_that_apple_would_refuse_is_a_fault(tmp_path: Path, options: dict[str, Any], fault: str) -> None:
    assert fault in faults(an_app(tmp_path, certificate_file=a_certificate(tmp_path, **options)))


def test_the_topics_in_the_extension_of_a_certificate_count(tmp_path: Path) -> None:
    listed = der(
        0x30,
        der(0x0C, b"org.example.other"), der(0x30, der(0x0C, b"app")),
        der(0x0C, b"org.example.other.voip"), der(0x30, der(0x0C, b"voip")),
        der(0x0C, b"org.example.chat"), der(0x30, der(0x0C, b"app")),
    )  # fmt: skip
    file = a_certificate(tmp_path, topic="org.example.other", listed=listed)

    assert ("org.example.other", "org.example.other.voip", "org.example.chat") == certificates.read(file).topics
    assert "" == faults(an_app(tmp_path, certificate_file=file))


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_an_extension_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path: Path, cut: int) -> None:
    listed = der(0x30, der(0x0C, b"org.example.other"), der(0x30, der(0x0C, b"app")))[:-cut] or b"\x30"

    assert "org.example.chat" == certificates.read(a_certificate(tmp_path, listed=listed)).topics[0]


def test_a_pkcs_12_file_is_named_for_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "push.p12"
    path.write_bytes(b"\x30\x82\x0b\xd1\x02\x01\x03")

    assert "is a PKCS #12 or DER file, not PEM" in faults(an_app(tmp_path, certificate_file=str(path)))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('{"project_info": {}, "client": []}', "is the app's google-services.json"),
        ('{"type": "authorized_user"}', "its type is 'authorized_user', not 'service_account'"),
        ('{"type": "service_account", "project_id": "p"}', "lacks client_email, private_key, token_uri"),
        ("[]", "is not the JSON file of a service account"),
        ("no JSON", "is not the JSON file of a service account"),
    ],
)
def test_a_file_that_is_no_service_account_is_a_fault(tmp_path: Path, content: str, fault: str) -> None:
    path = tmp_path / "account.json"
    path.write_text(content)

    assert fault in faults(AppSettings(provider="fcm", service_account_file=str(path)))

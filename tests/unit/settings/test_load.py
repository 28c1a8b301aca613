"""Settings: what is read, from where, and what is said about everything that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from gateway.settings import ConfigError, Secret, Settings, load, reference, setting, tables


@dataclass(frozen=True)
class Smacks:
    """[smacks] XEP-0198: Stream Management.

    This paragraph is for developers.
    """

    hibernation: int = setting(600, unit="s", least=0, most=86400, help="How long a lost session may be resumed.")
    delay: float = setting(1.5, unit="s", least=0.1)
    resend: bool | Literal["if_offline"] = setting("if_offline", choices=(True, False, "if_offline"))
    domains: list[str] = setting(["localhost"], least=1)
    store: bool = setting(False)
    password: Secret = setting(Secret(), secret=True)
    file: Path = setting(Path("data"))


@dataclass(frozen=True)
class App:
    """[push.apps.NAME] One app."""

    provider: str = setting("apns", choices=("apns", "fcm"))
    key_file: str = setting("", help="The key.")
    content: str = setting("none")

    def faults(self) -> Iterator[str]:
        if self.provider == "apns" and not self.key_file:
            yield "key_file: must be set for the provider apns"


@dataclass(frozen=True)
class Push:
    """[push] Pushes."""

    floor: float = setting(20.0, unit="s")
    apps: Mapping[str, App] = tables(App, help="Your apps.")


SECTIONS: dict[str, type] = {"smacks": Smacks, "push": Push}


def from_toml(tmp_path: Path, *texts: str, environ: Mapping[str, str] | None = None, **more: Any) -> Settings:
    files = []
    for number, text in enumerate(texts):
        files.append(tmp_path / f"{number}.toml")
        files[-1].write_text(text, encoding="utf-8")
    return load(SECTIONS, files=files, environ=environ, **more)


def faults_of(tmp_path: Path, *texts: str, **more: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        from_toml(tmp_path, *texts, **more)
    return caught.value.faults


def test_without_a_file_everything_is_as_declared(tmp_path: Path) -> None:
    assert Smacks() == from_toml(tmp_path).of(Smacks)


def test_a_file_is_overridden_by_the_environment_and_that_by_flags(tmp_path: Path) -> None:
    text = "[smacks]\nhibernation = 1\ndelay = 1\nstore = true\n"
    environ = {"WAKEGATE__SMACKS__HIBERNATION": "2", "WAKEGATE__SMACKS__DELAY": "2.5", "PATH": "/bin"}
    smacks = from_toml(tmp_path, text, environ=environ, overrides={"smacks.hibernation": 3}).of(Smacks)

    assert (3, 2.5, True) == (smacks.hibernation, smacks.delay, smacks.store)


def test_a_later_file_overrides_an_earlier_one_setting_by_setting(tmp_path: Path) -> None:
    smacks = from_toml(tmp_path, "[smacks]\nhibernation = 1\ndelay = 7\n", "[smacks]\nhibernation = 2\n").of(Smacks)

    assert (2, 7.0) == (smacks.hibernation, smacks.delay)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("resend", "true", True),
        ("resend", "False", False),
        ("resend", "if_offline", "if_offline"),
        ("domains", "a.example, b.example", ["a.example", "b.example"]),
        ("store", "on", True),
        ("password", "s3cret", Secret("s3cret")),
        ("file", "/var/lib", Path("/var/lib")),
    ],
)
def test_the_environment_is_typed_by_the_field(tmp_path: Path, name: str, text: str, value: object) -> None:
    smacks = from_toml(tmp_path, environ={f"WAKEGATE__SMACKS__{name.upper()}": text}).of(Smacks)

    assert value == getattr(smacks, name)


@pytest.mark.parametrize("value", [True, False, "if_offline"])
def test_a_setting_may_be_a_truth_or_a_word(tmp_path: Path, value: bool | str) -> None:
    text = f"[smacks]\nresend = {str(value).lower() if isinstance(value, bool) else repr(value)}\n"

    assert value == from_toml(tmp_path, text).of(Smacks).resend


def test_all_faults_are_told_at_once_each_with_what_is_right(tmp_path: Path) -> None:
    text = """
        [smacks]
        hibernaton = 3
        hibernation = 100000
        delay = "soon"
        resend = "if_ofline"
        domains = []
        store = 1
        [smack]
        [push.apps.ios]
        [push.apps.android]
        provider = "fmc"
    """

    assert {
        "[smack]: unknown section, did you mean smacks?",
        "smacks.hibernaton: unknown, did you mean hibernation?",
        "smacks.hibernation: at most 86400 s, got 100000",
        'smacks.delay: a number is needed, got "soon"',
        'smacks.resend: one of true | false | "if_offline" is needed, got "if_ofline", did you mean if_offline?',
        "smacks.domains: at least 1 items, got 0",
        "smacks.store: true or false is needed, got 1",
        "push.apps.ios.key_file: must be set for the provider apns",
        'push.apps.android.provider: one of "apns" | "fcm" is needed, got "fmc", did you mean fcm?',
    } == set(faults_of(tmp_path, text))


def test_what_a_section_knows_is_told_beside_a_value_of_a_wrong_type(tmp_path: Path) -> None:
    text = "[push.apps.ios]\ncontent = 3\n"

    assert (
        'push.apps.ios.content: a text in "quotes" is needed, got 3',
        "push.apps.ios.key_file: must be set for the provider apns",
    ) == faults_of(tmp_path, text)


@pytest.mark.parametrize("line", ["key_file = 3", "keyfile = 'k'", "provider = 'apn'"])
def test_nothing_is_said_that_depends_on_a_setting_that_is_wrong(tmp_path: Path, line: str) -> None:
    assert 1 == len(faults_of(tmp_path, f"[push.apps.ios]\n{line}\n"))


@pytest.mark.parametrize("number", ["true", "1.5", '"600"', "[600]"])
def test_a_whole_number_is_nothing_else(tmp_path: Path, number: str) -> None:
    (fault,) = faults_of(tmp_path, f"[smacks]\nhibernation = {number}\n")

    assert fault.startswith("smacks.hibernation: a whole number is needed, got ")


@pytest.mark.parametrize("number", ["nan", "-inf"])
def test_what_is_no_number_is_below_every_bound(tmp_path: Path, number: str) -> None:
    assert (f"smacks.delay: at least 0.1 s, got {number}",) == faults_of(tmp_path, f"[smacks]\ndelay = {number}\n")


def test_an_unknown_name_in_the_environment_is_a_fault_too(tmp_path: Path) -> None:
    environ = {"WAKEGATE__SMACKS__HIBERNATON": "3"}

    assert ("smacks.hibernaton: unknown, did you mean hibernation? (WAKEGATE__SMACKS__HIBERNATON)",) == faults_of(
        tmp_path, environ=environ
    )


def test_named_tables_are_read_by_name(tmp_path: Path) -> None:
    push = from_toml(tmp_path, '[push.apps.chat-ios]\nkey_file = "k"\n[push.apps.chat]\nprovider = "fcm"\n').of(Push)

    assert {"chat-ios": App(key_file="k"), "chat": App(provider="fcm")} == dict(push.apps)


def test_the_environment_reaches_a_named_table_whose_name_it_cannot_spell(tmp_path: Path) -> None:
    environ = {"WAKEGATE__PUSH__APPS__CHAT_IOS__KEY_FILE": "k"}
    push = from_toml(tmp_path, "[push.apps.Chat-iOS]\n", environ=environ).of(Push)

    assert {"Chat-iOS": App(key_file="k")} == dict(push.apps)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("smacks = 3", "smacks: a section is needed, [smacks], got 3"),
        ("[push]\napps = 3", "push.apps: named tables are needed, [push.apps.NAME], got 3"),
        ("[push.apps]\nios = 3", "push.apps.ios: a table is needed, [push.apps.ios], got 3"),
    ],
)
def test_a_value_in_the_place_of_a_table_is_a_fault(tmp_path: Path, text: str, fault: str) -> None:
    assert (fault,) == faults_of(tmp_path, text)


def test_a_file_that_is_no_toml_or_not_there_is_a_fault(tmp_path: Path) -> None:
    (broken,) = faults_of(tmp_path, "[smacks\n")
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        load(SECTIONS, files=[tmp_path / "none.toml"])

    assert "not TOML" in broken


def test_a_secret_shows_nothing_of_itself_not_even_when_it_is_wrong(tmp_path: Path) -> None:
    settings = from_toml(tmp_path, '[smacks]\npassword = "hunter2"\n')
    (fault,) = faults_of(tmp_path, "[smacks]\npassword = 4711\n")

    assert "hunter2" not in repr(settings.of(Smacks)) + str(settings.of(Smacks).password)
    assert "4711" not in fault
    assert "hunter2" == settings.of(Smacks).password.value()


def test_a_secret_can_be_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    smacks = from_toml(tmp_path, f'[smacks]\npassword = "file:{tmp_path}/secret"\n').of(Smacks)
    (fault,) = faults_of(tmp_path, f'[smacks]\npassword = "file:{tmp_path}/none"\n')

    assert "hunter2" == smacks.password.value()
    assert fault.startswith("smacks.password: the file cannot be read")


def test_settings_are_frozen(tmp_path: Path) -> None:
    settings = from_toml(tmp_path)
    with pytest.raises(AttributeError, match="frozen"):
        settings.smacks = None

    assert settings["smacks"] is settings.smacks


def test_the_reference_says_everything_and_is_a_valid_file(tmp_path: Path) -> None:
    text = reference(SECTIONS)

    assert Smacks() == from_toml(tmp_path, text).of(Smacks)
    assert "# XEP-0198: Stream Management.\n[smacks]\n" in text
    assert "# How long a lost session may be resumed. (0 to 86400 s)\nhibernation = 600\n" in text
    assert '# [push.apps.NAME]\n# ("apns" | "fcm")\n# provider = "apns"\n# The key.\n# key_file = ""\n' in text
    assert "for developers" not in text

"""The configuration as a whole: every section of every package, and the documented default file."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import configuration
from gateway.mailbox.settings import RedisSettings, SmacksSettings
from gateway.sections import ListenSettings, ServerSettings
from gateway.settings import ConfigError, load, reference

ROOT = Path(__file__).parents[3]

CONTRACT = {
    "server": ("domains", "data_dir", "node"),
    "listen": ("c2s", "c2s_tls", "websocket", "web"),
    "tls": ("certificate", "key", "required"),
    "redis": ("url", "appendfsync"),
    "smacks": (
        "smacks_hibernation_time",
        "smacks_max_hibernation_time",
        "smacks_max_queue_size",
        "smacks_max_unacked_stanzas",
        "smacks_max_ack_delay",
        "smacks_max_old_sessions",
        "resend_on_timeout",
    ),
    "offline": ("access_max_user_messages", "store_groupchat_messages"),
    "push": ("apps",),
}


def test_the_settings_that_others_rely_on_are_there() -> None:
    settings = load(configuration.sections())

    assert [] == [
        f"{section}.{name}"
        for section, names in CONTRACT.items()
        for name in names
        if not hasattr(settings[section], name)
    ]


def test_the_default_file_in_the_repository_is_what_the_settings_say() -> None:
    assert reference(configuration.sections()) == (ROOT / "config" / "wakegate.toml").read_text(encoding="utf-8")


def test_the_default_file_has_no_fault_and_changes_nothing() -> None:
    sections = configuration.sections()
    settings = load(sections, files=[ROOT / "config" / "wakegate.toml"])

    assert (RedisSettings(), SmacksSettings()) == (settings.of(RedisSettings), settings.of(SmacksSettings))


@pytest.mark.parametrize(
    ("listen", "fault"),
    [
        (ListenSettings(c2s=["5222"]), '"host:port" is needed'),
        (ListenSettings(c2s=["localhost:xmpp"]), '"xmpp" is no port'),
        (ListenSettings(c2s=["localhost:70000"]), '"70000" is no port'),
        (ListenSettings(c2s=["::1:5222"]), "an IPv6 address stands in brackets"),
        (ListenSettings(c2s=["a:1"], web=["a:1"]), "is already used by c2s"),
    ],
)
def test_an_address_that_cannot_work_is_a_fault(listen: ListenSettings, fault: str) -> None:
    assert [True] == [fault in found for found in listen.faults()]


def test_addresses_that_work_are_none() -> None:
    assert [] == list(ListenSettings(c2s=["[::1]:5222", "0.0.0.0:0"], c2s_tls=["0.0.0.0:0"], web=[]).faults())


@pytest.mark.parametrize("domain", ["", "Example.org", "a@b", "a/b", "localhost:5222"])
def test_a_domain_that_no_address_can_have_is_a_fault(domain: str) -> None:
    assert 1 == len(list(ServerSettings(domains=[domain]).faults()))


@pytest.mark.parametrize("location", ["nonsense", "host:", ":5222", "host:0", "host:70000", "2001:db8::1:5222"])
def test_a_location_that_no_client_can_connect_to_is_a_fault(location: str) -> None:
    (fault,) = SmacksSettings(location=location).faults()

    assert fault.startswith(f'location: "{location}": ')


@pytest.mark.parametrize("location", ["", "xmpp.example.org:5222", "[2001:db8::1]:9222", "192.0.2.1:1"])
def test_a_location_that_clients_can_connect_to_is_none(location: str) -> None:
    assert [] == list(SmacksSettings(location=location).faults())


@pytest.mark.parametrize(("time_s", "ceiling_s", "faults"), [(601, 600, 1), (600, 600, 0), (600, 0, 0)])
def test_a_hibernation_beyond_its_ceiling_is_a_fault(time_s: int, ceiling_s: int, faults: int) -> None:
    smacks = SmacksSettings(smacks_hibernation_time=time_s, smacks_max_hibernation_time=ceiling_s)

    assert faults == len(list(smacks.faults()))


def test_an_address_of_redis_is_told_beside_other_faults_of_its_section() -> None:
    with pytest.raises(ConfigError) as caught:
        load(configuration.sections(), overrides={"redis.url": "http://a", "redis.timeout_s": "soon"})

    assert ["redis.timeout_s", "redis.url"] == [fault.partition(":")[0] for fault in caught.value.faults]


def test_a_start_with_a_wrong_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAKEGATE__REDIS__APPENDFSYNC", "sometimes")
    with pytest.raises(ConfigError, match=r"redis\.appendfsync: one of"):
        configuration.read()


def test_the_files_are_those_given_or_named_or_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WAKEGATE_CONFIG", raising=False)
    none = configuration.files(())
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "wakegate.toml").touch()
    default = configuration.files(())
    monkeypatch.setenv("WAKEGATE_CONFIG", "a.toml:b.toml")
    named = configuration.files(())

    assert () == none
    assert (Path("config/wakegate.toml"),) == default
    assert (Path("a.toml"), Path("b.toml")) == named
    assert (Path("c.toml"),) == configuration.files([Path("c.toml")])

"""`[redis]`: the forms of an address, what goes with it, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.mailbox import redis_url
from gateway.mailbox.dial import Address, Tls
from gateway.mailbox.redis_url import Access
from gateway.mailbox.settings import RedisSettings
from gateway.settings import ConfigError, Secret


def test_one_server_with_user_database_and_tls() -> None:
    servers = redis_url.parse("rediss://wake:p%40ss@db.example:6380/3")

    assert "one" == servers.kind
    assert Address("", "db.example", 6380, Tls(), "wake", "p@ss", 3) == servers.addresses[0]


def test_a_unix_socket() -> None:
    assert Address(path="/run/redis.sock", db=2) == redis_url.parse("unix:///run/redis.sock?db=2").addresses[0]


def test_sentinels_have_credentials_of_their_own_and_the_service_those_of_redis() -> None:
    access = Access(sentinel_username="watch", sentinel_password="s")
    servers = redis_url.parse("redis+sentinel://wake:p@one:1,two,[::1]:3/mymaster/4?tls=true", access)

    assert "mymaster" == servers.service
    assert Address(tls=Tls(), username="wake", password="p", db=4) == servers.server
    assert [("one", 1), ("two", 26379), ("::1", 3)] == [(each.host, each.port) for each in servers.addresses]
    assert {("watch", "s", 0)} == {(each.username, each.password, each.db) for each in servers.addresses}


def test_nodes_of_a_cluster() -> None:
    servers = redis_url.parse("rediss+cluster://one:1,two", Access(username="wake", password="p"))

    assert [("one", 1, "p"), ("two", 6379, "p")] == [
        (each.host, each.port, each.password) for each in servers.addresses
    ]
    assert [Tls(), Tls()] == [each.tls for each in servers.addresses]
    with pytest.raises(ConfigError, match="one server or its sentinels"):
        servers.source()


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("", "is needed"),
        ("localhost", "is needed"),
        ("http://a", r"redis://HOST:PORT"),
        ("redis://", "a host is missing"),
        ("redis://a,b", "is needed"),
        ("redis://a:x", '"x" is no port'),
        ("redis://a:70000", '"70000" is no port'),
        ("redis://[::1:6379", "brackets"),
        ("redis://a/x", '"x" is no database'),
        ("redis://a/1/2", '"1/2" is no database'),
        ("redis://a?tsl=true", 'unknown option "tsl"'),
        ("redis://a?tls=perhaps", "tls is true or false"),
        ("redis://user@a", "a password is needed"),
        ("unix://path", "three slashes"),
        ("unix:///path?tls=true", "no TLS on a unix socket"),
        ("redis+sentinel://a:1,b:2", "the name of the service"),
        ("redis+sentinel://a:1,,b:2/name", "a host is missing"),
        ("redis+sentinel://a:1/name/db", '"db" is no database'),
        ("redis+cluster://a:1/2", "only database 0"),
    ],
)
def test_each_mistake_is_named(url: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        redis_url.parse(url)
    assert [] != list(RedisSettings(url=url).faults())


def test_a_password_is_never_repeated() -> None:
    with pytest.raises(ConfigError) as told:
        redis_url.parse("redis://wake:hidden@a:port/x")
    assert "hidden" not in str(told.value)
    assert "hidden" not in repr(redis_url.parse("redis://wake:hidden@a", Access(sentinel_password="hidden2")))


def test_what_does_not_go_together_is_said() -> None:
    secret = Secret("s")

    assert ["password: url has a password as well"] == list(RedisSettings("redis://:x@a", password=secret).faults())
    assert ["username: a password is needed as well, in redis.password"] == list(
        RedisSettings("redis://a", username="wake").faults()
    )
    assert ["tls_key_file: tls_certificate_file is needed as well"] == list(
        RedisSettings("rediss://a", tls_key_file="k").faults()
    )
    assert ["wait_replicas: the embedded server of url has no replicas"] == list(
        RedisSettings(wait_replicas=1).faults()
    )
    assert ["wait_timeout: less than timeout_s is needed, 10 s, got 10"] == list(
        RedisSettings("redis://a", wait_replicas=1, wait_timeout=10).faults()
    )
    assert ["tls_ca_file: has no effect, since url does not ask for TLS"] == list(
        RedisSettings("redis://a", tls_ca_file="ca").warnings()
    )
    assert ["sentinel_password: has no effect, since url names no sentinels"] == list(
        RedisSettings("redis://a", sentinel_password=secret).warnings()
    )
    assert [] == list(RedisSettings().faults())


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    no_pem = tmp_path / "no.pem"
    no_pem.write_text("nothing")
    url = "redis+sentinel://a,b/name?tls=true"

    assert [f"tls_ca_file: {tmp_path}/gone: there is no such file"] == list(
        RedisSettings(url, tls_ca_file=f"{tmp_path}/gone").file_faults()
    )
    assert [f"tls_certificate_file: {no_pem}: not a PEM file"] == [
        fault.partition(",")[0] for fault in RedisSettings(url, tls_certificate_file=str(no_pem)).file_faults()
    ]

"""Which names the pages are asked for under: RFC 9110 section 7.2, and DNS rebinding."""

from __future__ import annotations

import pytest

from gateway.sections import ListenSettings
from tests.web.conftest import Ask
from workers.web.hosts import Hosts

OURS = ["wakegate.example", "Admin.Example.org."]
PATHS = ("/", "/healthz", "/metrics", "/api/status", "/nowhere")


@pytest.mark.parametrize("host", ["rebound.example.net", "127.0.0.1.example.net", "wakegate.example.net:5281"])
def test_names_that_are_not_ours_are_told_nothing(ask: Ask, host: str) -> None:
    found = [ask(path, Host=host) for path in PATHS]

    assert {421} == {answer.status for answer in found}
    assert {True} == {"listen.web_hosts" in answer.text for answer in found}


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:5281", "[::1]:5281", "192.0.2.7", "localhost", "localhost:5281", "app.localhost", "wakegate:5281",
     "wakegate.example", "dashboard.wakegate.example:80", "WAKEGATE.EXAMPLE.", ""],
)  # fmt: skip
def test_addresses_our_names_and_names_that_nobody_else_can_have_are_answered(ask: Ask, host: str) -> None:
    assert 200 == ask("/api/status", Host=host).status


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("admin.example.org", True),
        ("x.admin.example.org:1", True),
        ("example.org", False),
        ("badmin.example.org", False),
        (":5281", False),
        (".", False),
        ("[rebound.example.net]", False),
    ],
)
def test_names_are_compared_as_a_whole_and_in_any_case(host: str, is_ours: bool) -> None:
    assert is_ours == Hosts(OURS).has(host)


@pytest.mark.parametrize("name", ["https://admin.example.org", "admin.example.org:443", "*.example.org", ""])
def test_a_setting_that_is_no_name_is_refused(name: str) -> None:
    assert [f'web_hosts: "{name}" is no name, such as "admin.example.org"'] == list(
        ListenSettings(web_hosts=["ours.example", name]).faults()
    )

"""[components]: what a configuration may say about external components (XEP-0114), and whence their secrets come."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway import configuration
from gateway.features.selection import FeatureSettings, selected
from gateway.sections import ComponentsSettings
from gateway.session.component import component_domains
from gateway.settings import ConfigError, Settings, load

BRIDGE = '[components.domains."bridge.localhost"]\n'


def settings_of(directory: Path, text: str, environ: Mapping[str, str] | None = None) -> Settings:
    file = directory / "wakegate.toml"
    file.write_text(text)
    return load(configuration.sections(), files=[file], environ=environ)


def secret_of(settings: Settings) -> str:
    return settings.of(ComponentsSettings).domains["bridge.localhost"].secret.value()


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("open bridge\n")

    settings = settings_of(tmp_path, f'{BRIDGE}secret = "file:{tmp_path}/secret"')

    assert "open bridge" == secret_of(settings)
    assert "open bridge" not in repr(settings.of(ComponentsSettings))


def test_a_secret_comes_from_the_environment_which_cannot_spell_a_domain(tmp_path: Path) -> None:
    environ = {"WAKEGATE__COMPONENTS__DOMAINS__BRIDGE_LOCALHOST__SECRET": "open bridge"}

    assert "open bridge" == secret_of(settings_of(tmp_path, BRIDGE, environ))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (BRIDGE, "components.domains.bridge.localhost.secret: must be set"),
        (f'{BRIDGE}secret = ""', "components.domains.bridge.localhost.secret: must be set"),
        (
            '[components.domains.Bridge]\nsecret = "s"',
            'components.domains: "Bridge" is no domain: lower case, without @, /, : or spaces',
        ),
        (
            '[components]\ncomponent_conflict_resolve = "kick"',
            'components.component_conflict_resolve: one of "kick_new" | "kick_old" is needed, got "kick", did you mean',
        ),
        ("[components]\ncomponent_wait = -1", "components.component_wait: at least 0 s, got -1"),
        ('[listen]\ncomponents = ["5347"]', 'listen.components: "5347"'),
    ],
)
def test_what_cannot_work_is_a_fault(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as found:
        settings_of(tmp_path, text)

    assert [True] == [one.startswith(fault) for one in found.value.faults]


@pytest.mark.parametrize("domain", ["localhost", "push.localhost"])
def test_a_component_cannot_have_a_domain_of_the_servers_own(tmp_path: Path, domain: str) -> None:
    settings = settings_of(tmp_path, f'[components.domains."{domain}"]\nsecret = "s"')

    with pytest.raises(ConfigError, match=f"components.domains.{domain}: is this server's own"):
        component_domains(settings, selected(settings.of(FeatureSettings)))

"""docs/sandbox.md names everything that can be set, and tests that exist."""

import re
from pathlib import Path

import msgspec

from workers.sandbox.behaviour import Behaviour
from workers.sandbox.faults import Fault

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "sandbox.md").read_text()


def test_every_setting_and_its_default_is_documented() -> None:
    documented: dict[str, str] = {}
    for names, defaults in re.findall(r"^\| (`[a-z].*?) \| (.*?) \|", TEXT.split("| setting |")[1], re.MULTILINE):
        documented |= zip(re.findall(r"`([a-z_]+)`", names), defaults.split(", "), strict=False)
    for name, value in msgspec.to_builtins(Behaviour()).items():
        assert str(value).lower().removesuffix(".0") == documented[name], name


def test_every_field_of_a_fault_is_documented() -> None:
    fields = set(re.findall(r"`([a-z_]+)`", TEXT.split("| field | meaning |")[1].split("\n\n")[0]))

    assert set() == {field.name for field in msgspec.structs.fields(Fault)} - fields


def test_the_tests_and_scenarios_that_it_names_exist() -> None:
    tests = set(re.findall(r"`(test_[a-z0-9_]+\.py)`", TEXT))
    scenarios = {file.stem for file in (ROOT / "config" / "sandbox").glob("*.toml")}

    assert tests
    assert set() == {name for name in tests if not (ROOT / "tests" / "sandbox" / name).exists()}
    assert scenarios <= set(re.findall(r"^\| `([a-z-]+)` \|", TEXT, re.MULTILINE))

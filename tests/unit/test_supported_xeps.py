"""docs/supported-xeps.md is made of declarations: what is declared is there, what is not is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def output(*arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/build_xeps.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=ROOT,
    )
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def page() -> list[str]:
    return output()


def line(page: list[str], begin: str) -> str:
    """The one line that begins so."""
    (found,) = [one for one in page if one.startswith(begin)]
    return found


def test_a_feature_s_row_names_its_version_its_module_and_its_tests(page: list[str]) -> None:
    row = line(page, "| [XEP-0054]")

    assert "| 1.3.0 |" in row
    assert "gateway/features/vcard.py" in row
    assert "(../tests/scenarios/test_xep_0054_vcard.py)" in row


def test_one_test_may_be_about_several_standards(page: list[str]) -> None:
    for number in ("0153", "0398"):
        assert "test_xep_0153_0398_avatars.py" in line(page, f"| [XEP-{number}]")


def test_the_suite_says_yes_where_everything_is_declared_and_no_with_what_is_missing(page: list[str]) -> None:
    assert line(page, "| IM | vcard-temp ").endswith("| yes |")
    assert line(page, "| IM | Group chat ").endswith("| no: XEP-0045, XEP-0249 |")


def test_each_standard_is_tested_with_a_foreign_library() -> None:
    assert not [line for line in output("--untested") if line.strip()]

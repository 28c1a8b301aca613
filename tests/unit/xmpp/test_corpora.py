"""Every pair NNN-name.xml and NNN-name.json in tests/corpora: a stream's bytes, and what must come of them.

A protocol bug that was found becomes such a pair. The JSON file says why it is there, which events come (`{"opened":
default namespace}`, an element as its parts, "closed") and which stream error ends them, null for none.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.xmpp.element import Element
from gateway.xmpp.event import Event, StreamOpened
from gateway.xmpp.parser import StreamParser
from tests.unit.xmpp.builders import all_of

CORPORA = Path(__file__).parents[2] / "corpora"
STREAMS = sorted(CORPORA.glob("*.xml"))


def told(event: Event) -> Any:
    """An event as the JSON files tell it."""
    if isinstance(event, StreamOpened):
        return {"opened": event.ns}
    if isinstance(event, Element):
        children = [list(child) for child in event.children]
        return {"name": event.name, "ns": event.ns, "children": children, "raw": event.raw.decode()}
    return "closed"


@pytest.mark.parametrize("size", [1, 3, 100_000])
@pytest.mark.parametrize("stream", STREAMS, ids=lambda path: path.stem)
def test_a_stream_of_the_corpus_comes_to_what_was_decided(stream: Path, size: int) -> None:
    expected = json.loads(stream.with_suffix(".json").read_text(encoding="utf-8"))
    data = stream.read_bytes()

    events, error = all_of(StreamParser(), *[data[at : at + size] for at in range(0, len(data), size)])

    assert expected["events"] == [told(event) for event in events]
    assert expected["error"] == (str(error.condition) if error else None)


def test_the_corpus_is_there_and_in_pairs() -> None:
    assert [path.stem for path in STREAMS] == sorted(path.stem for path in CORPORA.glob("*.json"))
    assert len(STREAMS) >= 16

"""Features meet at hooks: in the order of phases, and with one owner for each payload."""

from dataclasses import dataclass, field

import pytest

from gateway.composition import FeatureClash, Features
from gateway.features import FEATURES
from gateway.hooks import Feature, On, Phase, Query


@dataclass
class Rang:
    """A hook of this test."""

    heard: list[str] = field(default_factory=list)


def answer(query: Query) -> None:
    query.reply(b"")


def test_handlers_run_in_the_order_of_their_phases_whatever_the_order_of_features() -> None:
    late = Feature(name="late", hooks=(On(Rang, lambda event: event.heard.append("observe"), Phase.OBSERVE),))
    early = Feature(name="early", hooks=(On(Rang, lambda event: event.heard.append("guard"), Phase.GUARD),))

    assert ["guard", "observe"] == Features((late, early)).fire(Rang()).heard


def test_two_features_cannot_own_one_payload() -> None:
    one = Feature(name="one", iq_get={("urn:x", "query"): answer})
    two = Feature(name="two", iq_get={("urn:x", "query"): answer})

    with pytest.raises(FeatureClash, match="two claims iq get"):
        Features((one, two))


def test_a_feature_needs_what_it_requires() -> None:
    with pytest.raises(FeatureClash, match="carbons needs archive"):
        Features((Feature(name="carbons", requires=("archive",)),))


def test_the_features_that_are_on_fit_together() -> None:
    assert {feature.name for feature in FEATURES} >= {"disco", "offline", "ping", "push"}
    assert Features(FEATURES).iq

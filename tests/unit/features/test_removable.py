"""[features] off: a feature that is left out leaves nothing behind."""

import pytest

from gateway.composition import Features
from gateway.features import FEATURES
from gateway.features.selection import FeatureSettings, selected
from gateway.hooks import Feature


def declared(feature: Feature) -> set[object]:
    """Everything by which somebody could notice that a feature is there."""
    found: set[object] = {("get", *name) for name in feature.iq_get} | {("set", *name) for name in feature.iq_set}
    found |= set(feature.replies) | set(feature.nonzas) | set(feature.disco) | set(feature.account_disco)
    if feature.stream_features:
        found.add(feature.stream_features)
    return found


def offered(features: Features) -> set[object]:
    found: set[object] = set()
    for feature in features.all:
        found |= declared(feature)
    return found | set(features.iq) | set(features.nonzas) | set(features.replies)


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_a_feature_that_is_off_leaves_nothing_behind(feature: Feature) -> None:
    off = {feature.name}
    while needing := {other.name for other in FEATURES if off.intersection(other.requires)} - off:
        off |= needing
    rest = selected(FeatureSettings(off=sorted(off)))

    others = set().union(*(declared(other) for other in rest.all))

    assert feature not in rest.all
    assert not (declared(feature) - others) & offered(rest)


def test_an_unknown_name_is_a_fault_that_lists_the_names() -> None:
    (fault,) = FeatureSettings(off=["carbon"]).faults()

    assert '"carbon" is no feature; there are ' in fault
    assert "carbons" in fault


def test_leaving_out_what_another_feature_needs_is_a_fault() -> None:
    needed = sorted({name for feature in FEATURES for name in feature.requires})
    for name in needed:
        assert any("needs" in fault for fault in FeatureSettings(off=[name]).faults())

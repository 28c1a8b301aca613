"""[features]: which of the features are on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.composition import FeatureClash, Features
from gateway.settings import setting


@dataclass(frozen=True)
class FeatureSettings:
    """[features] What this server offers. Everything is on but what is named here."""

    off: list[str] = setting(
        [], help='Features to leave out, e.g. ["carbons"]; an unknown name is answered with all there are.'
    )

    def faults(self) -> Iterator[str]:
        """Each name must be known, and nothing may be left out that another feature needs."""
        from gateway.features import FEATURES  # its modules hold settings themselves

        names = {feature.name for feature in FEATURES}
        for name in self.off:
            if name not in names:
                yield f'off: "{name}" is no feature; there are {", ".join(sorted(names))}'
        try:
            selected(self)
        except FeatureClash as clash:
            yield f"off: {clash}"


def selected(settings: FeatureSettings) -> Features:
    """The features that are on. Raises FeatureClash."""
    from gateway.features import FEATURES

    left_out = [feature for feature in FEATURES if feature.name in settings.off]
    return Features(tuple(feature for feature in FEATURES if feature not in left_out), left_out)

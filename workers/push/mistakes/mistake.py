"""One usual mistake, as data."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from workers.push.mistakes.case import Case

Condition = Callable[[Case], bool]


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """`name` is its anchor in the documentation. `providers`: () = any.

    It is likely where `said`, a regular expression, is found in what was said, and certain where `proof` holds besides;
    `alone`: `proof` is enough, whatever was said. `unless` rules it out. `last`: only where nothing else fits.
    """

    name: str
    title: str
    shows: str
    means: str
    remedy: str
    providers: tuple[str, ...] = ()
    said: str = ""
    proof: Condition | None = None
    unless: Condition | None = None
    alone: bool = False
    last: bool = False

    def is_possible(self, case: Case) -> bool:
        """Might this be what is wrong?"""
        if self.providers and case.provider not in ("", *self.providers):
            return False
        if self.unless is not None and self.unless(case):
            return False
        if self.said and re.search(self.said, case.said):
            return True
        return self.alone and self.is_proven(case)

    def is_proven(self, case: Case) -> bool:
        """If it is possible: is it certain?"""
        return self.proof is not None and self.proof(case)

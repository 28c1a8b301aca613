"""Which of the usual mistakes is it?"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from workers.push.mistakes import MISTAKES, Case, Mistake


@dataclass(frozen=True)
class Finding:
    """A mistake that fits a case. `certain`: it is this one, not only one that shows in the same way."""

    mistake: Mistake
    certain: bool

    def to_json(self) -> dict[str, object]:
        """As commands with --json print it."""
        it = self.mistake
        return {
            "mistake": it.name,
            "title": it.title,
            "means": it.means,
            "remedy": it.remedy,
            "certain": self.certain,
        }


def diagnose(case: Case) -> tuple[Finding, ...]:
    """What fits, the likeliest first. What is certain leaves no room for anything else."""
    fitting = [mistake for mistake in MISTAKES if mistake.is_possible(case)]
    possible = [mistake for mistake in fitting if not mistake.last] or fitting
    certain = [mistake for mistake in possible if mistake.is_proven(case)]
    if certain or len(possible) == 1:
        return tuple(Finding(mistake, True) for mistake in certain or possible)
    return tuple(Finding(mistake, False) for mistake in possible)


def in_words(findings: tuple[Finding, ...], *, width: int = 100) -> list[str]:
    """Lines for an operator: what it means, and what to do. Of several that are possible each in short."""
    lines: list[str] = []
    if len(findings) > 1 and not findings[0].certain:
        lines.append("  It is one of these; try in this order:")
    for finding in findings:
        mistake = finding.mistake
        for text in (f"- {mistake.title}. {mistake.means}", f"  What to do: {mistake.remedy}"):
            indent = "    " if text.startswith("-") else "      "
            lines += textwrap.wrap(text.strip(), width, initial_indent=indent[:-2], subsequent_indent=indent)
    return lines

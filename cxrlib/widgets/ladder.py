"""LadderExplorer: a series of experiments step by step: guess, then see if the step is larger than chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from ..validate import number, several, short, text
from .base import PageWidget, kit, t

PARTS = {"name", "text", "settings", "scores", "reported"}


class LadderExplorer(PageWidget):
    """A ladder of experiments, each measured with the same seeds; the reader guesses every step before it is shown.

    A step is called "higher" or "lower" when the score of every seed goes this way and the mean change is larger than
    the spread; else no difference is seen. The *spread* of a step is the distance between the highest and the lowest
    seed, of this step or of the one before, whichever is larger.

    Parameters
    ----------
    steps : sequence of dict
        In their order, each with ``name`` (str); ``settings`` (dict of plain values; a dict in it counts setting by
        setting); ``scores`` (dict of seed -> value, or -> (value, low, high) with an interval), for the same seeds in
        every step; and, if wanted, ``text`` (a few words) and ``reported`` (a number to stand beside; None or NaN when
        it is not known).
    score, source : str
        What the scores are; what the reported numbers are, and whose.
    """

    _esm, _css = kit("ladder")
    summary = t("Ladder explorer: a series of experiments, and which steps are larger than the spread between seeds.")

    def __init__(self, steps: Sequence[Mapping], *, score: str = t("score"), source: str = t("reported")) -> None:
        steps = several("steps", steps, _step, least=2)
        names = [step["name"] for step in steps]
        if len(set(names)) < len(names):
            raise ValueError(f"steps: give each name once, got {', '.join(names)}")
        seeds = list(steps[0]["scores"])
        if len(seeds) < 2:
            raise ValueError(f"steps: give the scores of at least two seeds, got {seeds}; one seed has no spread")
        scores = []
        for name, step in zip(names, steps, strict=True):
            if set(step["scores"]) != set(seeds):
                raise ValueError(f"steps: {name!r} has the seeds {list(step['scores'])}, the first one {seeds}")
            scores.append([_score(name, seed, step["scores"][seed]) for seed in seeds])
        values = np.array([[found[0] for found in row] for row in scores])  # (steps, seeds)
        apart = np.ptp(values, axis=1)
        rows, settings = [], [_flat(step["settings"]) for step in steps]
        for i, (name, step) in enumerate(zip(names, steps, strict=True)):
            change = values[i] - values[i - 1] if i else np.zeros(len(seeds))
            spread = float(max(apart[i - 1], apart[i]) if i else apart[0])
            clear = (np.all(change > 0) or np.all(change < 0)) and abs(change.mean()) > spread
            reported = step.get("reported")
            unknown = reported is None or (isinstance(reported, Real) and math.isnan(reported))
            rows.append({
                "name": name, "text": str(step.get("text", "")), "scores": scores[i], "change": change.tolist(),
                "spread": spread, "verdict": "none" if not clear else "higher" if change.mean() > 0 else "lower",
                "settings": _changed(settings[i - 1], settings[i]) if i else [],
                "reported": None if unknown else number(f"steps: {name!r}: reported", reported),
            })  # fmt: skip
        super().__init__(page={"steps": rows, "seeds": [str(seed) for seed in seeds], "score": score, "source": source})


def _step(name: str, step: Mapping) -> Mapping:
    if not isinstance(step, Mapping):
        raise ValueError(f"{name}: give dicts, got {short(step)}")
    where = f"{name}: {step.get('name')!r}"
    if not {"name", "settings", "scores"} <= set(step) <= PARTS:
        raise ValueError(f"{where}: give name, settings, scores, and maybe text and reported, got {list(step)}")
    for part in ("settings", "scores"):
        if not isinstance(step[part], Mapping):
            raise ValueError(f"{where}: give a dict of {part}, got {short(step[part])}")
    text(f"{name}: name", step["name"])
    return step


def _score(name: str, seed: Any, given: Any) -> list[float]:
    """Return [value] or [value, low, high]."""
    where = f"steps: {name!r}, seed {seed!r}"
    found = several(where, [given] if isinstance(given, Real) else given, number)
    if len(found) not in (1, 3) or found[-2:] != sorted(found[-2:]):
        raise ValueError(f"{where}: give a number or (value, low, high) with low <= high, got {short(given)}")
    return found


def _flat(settings: Mapping, before: str = "") -> dict[str, object]:
    found = {}
    for key, value in settings.items():
        found |= _flat(value, f"{before}{key}.") if isinstance(value, Mapping) else {f"{before}{key}": value}
    return found


def _changed(old: dict, new: dict) -> list[list[str]]:
    """List [setting, before, now] of every setting that differs."""
    keys = dict.fromkeys([*new, *old])
    rows = [[key, *(_shown(side[key]) if key in side else "–" for side in (old, new))] for key in keys]
    return [row for row in rows if row[1] != row[2]]


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool | np.bool_):
        return {None: t("none"), True: t("yes"), False: t("no")}[value]
    return f"{value:g}" if isinstance(value, Real) else str(value)

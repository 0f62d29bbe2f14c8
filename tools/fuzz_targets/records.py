"""Records of results, and the tables of them; a reproduction that goes on; the guesses that students hand in."""

from __future__ import annotations

import contextlib
import functools
import json
import random
from pathlib import Path

from coursekit import results
from coursekit.questions.classroom import page
from coursekit.questions.predictions import Prediction

from .damage import packed, text_of, unpacked
from .target import ROOT


@functools.cache
def _records() -> list[tuple[str, dict]]:
    """One record of each kind, shortened."""
    found = {}
    for record in results.load(ROOT / "results"):
        kind = record.get("kind") or ("reproduction" if "reproduction" in record else "training")
        found.setdefault(kind, (record.pop("file"), record))
    for _, record in found.values():
        if "training" in record:
            record["training"]["epochs"] = record["training"]["epochs"][:2]
    return list(found.values())


def make_records(rng: random.Random) -> bytes:
    """Draw a damaged record."""
    _, document = rng.choice(_records())
    return packed(text=text_of(document, rng, 0.8))


def run_records(case: bytes, folder: Path) -> None:
    """Make the tables of it."""
    plan, tool = unpacked(case), results
    (folder / "record-chest_xray-seed0.json").write_bytes(plan["text"])
    _, intact = _records()[0]  # and one that is as it should be
    (folder / "other-chest_xray-seed0.json").write_text(json.dumps(intact))
    records = tool.load(folder)
    for make in (
        tool.training_table,
        tool.threshold_table,
        tool.PARTS["phantom"],
        tool.PARTS["choices"],
        tool.PARTS["sources"],
        tool.readme_block,
    ):
        make(records)


class _Enough(Exception):
    """The record was read, and a training would begin now."""


def make_reproduce(rng: random.Random) -> bytes:
    """Draw a damaged record of a run."""
    name, document = next((n, r) for n, r in _records() if "reproduction" in r and "training" in r)
    return text_of({**document, "data": {**document["data"], "fingerprint": "x"}}, rng, 0.85)


def run_reproduce(case: bytes, folder: Path) -> None:
    """See whether it counts."""
    from coursekit.reproduce import PLAN, reproduce

    row = next(row for row in PLAN if row.id == "A-baseline")
    (folder / f"reproduce-{row.id}-seed0.json").write_bytes(case)

    def announce(*_):
        raise _Enough

    with contextlib.suppress(_Enough):
        list(
            reproduce(
                [row],
                data="phantom",
                options={"n": 30},
                size=32,
                seeds=[0],
                out=folder,
                work=folder / "work",
                progress=False,
                announce=announce,
            )
        )


_ASKED = [
    Prediction("predict-1", "Which falls?", ("the AUC", "nothing"), "A section", "It fell.", "the AUC"),
    Prediction("predict-2", "By how much?", (), "A section", "By a tenth."),
]


def make_guesses(rng: random.Random) -> bytes:
    """Draw a damaged file of guesses."""
    guesses = [{"id": one.id, "question": one.question, "guess": "<b>the AUC</b>"} for one in _ASKED]
    return text_of({"format": 1, "chapter": "01_look", "guesses": guesses}, rng, 0.8)


def run_guesses(case: bytes, folder: Path) -> None:
    """Make the page of a class, and write it."""
    (folder / "guesses.json").write_bytes(case)
    made = page(folder, [("01_look", "Look", _ASKED)])
    (folder / "class.html").write_text(made, encoding="utf-8")
    assert "<b>" not in made, "a student's guess became markup"

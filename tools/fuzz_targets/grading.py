"""Grading: what students hand in, rosters, a batch that was stopped, and answers of the student's process."""

from __future__ import annotations

import functools
import json
import random
import struct
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from .damage import any_json, mutate, packed, text_of, unpacked, zipped
from .target import ROOT

if TYPE_CHECKING:
    from coursekit.grade import Exercise


@functools.cache
def exercise() -> Exercise:
    """Return the exercise that is graded."""
    from coursekit.grade import list_exercises, load_exercise

    return load_exercise(list_exercises(ROOT)[0], ROOT)


@functools.cache
def _handed_in() -> bytes:
    return exercise().with_answers(dict(exercise().reference))


_STUDENTS = (
    "anna.ipynb",
    "anna/03_metrics_by_hand.ipynb",
    "Anna Ångström_123_assignsubmission_file_03.ipynb",
    "anna_123_assignsubmission_file_/03.ipynb",
    "annasmith_LATE_12345_67890_03_metrics_by_hand.ipynb",
    "submissions/anna/03.ipynb",
    "__MACOSX/._a.ipynb",
    "../../anna.ipynb",
    "/etc/anna.ipynb",
    "C:\\a\\b.ipynb",
    "a\\..\\b.ipynb",
    "\0.ipynb",
    "é.ipynb",
    "\udcff.ipynb",
    "x" * 3000 + ".ipynb",
    "a/" * 300 + "a.ipynb",
    "con.ipynb",
    "a.ipynb.txt",
    "a.zip",
    "anna-2.ipynb",
    "anna (1).ipynb",
    ".ipynb",
    "_.ipynb",
    "1_2_3_.ipynb",
    "9" * 400 + "_1_" + "8" * 400 + "_a.ipynb",
    "anna_anon_5_6_x.ipynb",
    "README",
    "",
    "/",
    "a//b.ipynb",
    "٣_٣_٣_a.ipynb",
)


@functools.cache
def _crowded(count: int) -> bytes:
    """Return a zip of so many notebooks."""
    return zipped([(f"{i}.ipynb", b"") for i in range(count)], zipfile.ZIP_STORED)


def make_intake(rng: random.Random) -> bytes:
    """Draw a zip or folder of submissions."""
    members = [
        [rng.choice(_STUDENTS), rng.choice((b"", b"{}", b'{"cells": []}', b"PK\3\4", rng.randbytes(50)))]
        for _ in range(rng.randrange(1, 12))
    ]
    if rng.random() < 0.25:
        return packed(folder=members)
    kind = rng.random()
    if kind < 0.1:  # a member that unfolds to more than a notebook may hold
        members.append(["bomb.ipynb", b" " * rng.choice((1_000_000, 30_000_000))])
    elif kind < 0.13:
        return packed(zip=_crowded(rng.choice((2_000, 50_001))), name="export.zip")
    made = zipped(
        [(n.replace("\udcff", "\xff"), d) for n, d in members],
        rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)),
    )
    if kind > 0.4:
        made = mutate(made, rng, [made])
        if rng.random() < 0.5:  # the directory is at the end
            made = made[: -len(made) // 2] + mutate(made[-len(made) // 2 :], rng)
    return packed(zip=made, name=rng.choice(("export.zip", "export.ipynb", "export")))


def run_intake(case: bytes, folder: Path) -> None:
    """Collect the submissions."""
    from coursekit.grade.submissions import collect

    plan = unpacked(case)
    if "folder" in plan:
        path = folder / "export"
        path.mkdir()
        for name, data in plan["folder"]:
            try:
                place = path / name.strip("/\\").replace("..", "_")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)
            except (OSError, ValueError):
                continue
        if not path.is_dir():
            return  # a name that is no name
    else:
        path = folder / plan["name"]
        path.write_bytes(plan["zip"])
    found = collect(path, "03_metrics_by_hand")
    assert found and len({s.key for s in found}) == len(found)
    for s in found:
        assert (s.data is None) == bool(s.problem) and "/" not in s.key and s.key not in ("", ".", "..")


def notebooks() -> st.SearchStrategy:
    """Notebooks that are right in parts, wrong in others, and bytes that are none."""
    given = json.loads(_handed_in())
    source = (
        st.text(max_size=60)
        | st.lists(st.text(max_size=20) | st.integers(), max_size=4)
        | any_json()
        | st.sampled_from(
            [f"def {task}(x):\n    return 1" for task in exercise().tasks]
            + ["def " * 3000, "(" * 5000, "'''" * 2000, "\\\n" * 3000]
        )
    )
    cell = st.fixed_dictionaries(
        {},
        optional={
            "cell_type": st.sampled_from(["code", "code", "code", "markdown", "raw", 7, None]),
            "source": source,
            "metadata": st.dictionaries(
                st.sampled_from(["nbgrader", "tags"]),
                st.dictionaries(
                    st.sampled_from(["grade_id", "solution"]),
                    st.sampled_from([*exercise().tasks, 1, None, "test_x", []]),
                )
                | any_json(),
            )
            | any_json(),
            "id": st.text(max_size=8) | st.integers(),
            "outputs": any_json(),
        },
    )
    made = st.fixed_dictionaries(
        {"cells": st.lists(cell | st.sampled_from(given["cells"]) | any_json(), max_size=12) | any_json()},
        optional={"metadata": any_json(), "nbformat": any_json(), "worksheets": any_json()},
    )
    seeded = st.integers(0, 2**32).map(random.Random)
    return (
        made
        | made
        | any_json()
        | seeded.map(lambda rng: text_of(given, rng, 0.6))
        | st.sampled_from([b"", b"\xff\xfe{\0}\0", b"\xef\xbb\xbf{}", b'{"cells": ' + b"9" * 10_000 + b"}", b"NaN"])
    )


def run_notebook(case: bytes, folder: Path) -> None:
    """Splice a submission's answers into the exercise."""
    from coursekit.grade.inside.cells import look
    from coursekit.grade.notebook import read_notebook
    from coursekit.grade.similar import tokens
    from coursekit.grade.splice import Facts, splice

    handed_in = read_notebook(case)
    pristine = [cell.source for cell in exercise().cells]
    seen = look([*pristine, *(cell.source for cell in handed_in.cells)], ["numpy"])["cells"]
    facts = [Facts(cell["code"], tuple(cell["binds"]), tuple(cell["parts"])) for cell in seen[len(pristine) :]]
    for source in splice(
        exercise(), handed_in, facts, [cell["code"] for cell in seen[: len(pristine)]]
    ).answers.values():
        tokens(source)


_TITLES = (
    "id",
    "name",
    "email",
    "Student",
    "ID",
    "SIS Login ID",
    "Section",
    "Identifier",
    "Full name",
    "Email address",
    "Status",
    "Grade",
    "Maximum Grade",
    "First name",
    "Surname",
    "Points",
    "03_metrics_by_hand (123)",
    "",
    "id",
    "é",
    "\ufeff",
)
_CELLS = (
    "anna",
    "Å, Anna",
    "12345",
    "=1+1",
    "@x",
    "Participant 77",
    "a@b.c",
    "",
    " ",
    '"',
    "x" * 500,
    "1,5",
    "1e999",
    "nan",
    "10",
    "Points Possible",
    "    Points Possible",
    "٣",
    "\u202e",
    "'",
    "-",
    "\ud800",
    "a\nb",
    "a;b",
    "a\tb",
)


def rosters() -> st.SearchStrategy:
    """Draw a class list."""
    cell = st.sampled_from(_CELLS) | st.text(max_size=12)

    def written_out(parts: tuple) -> bytes:
        titles, rows, delimiter, quote, encoding, head = parts
        lines = [
            delimiter.join(f'"{c.replace(chr(34), chr(34) * 2)}"' if quote else c for c in row)
            for row in (titles, *rows)
        ]
        return head + "\n".join(lines).encode(encoding, "replace")

    files = st.tuples(
        st.lists(st.sampled_from(_TITLES) | cell, max_size=8),
        st.lists(st.lists(cell, max_size=9), max_size=6),
        st.sampled_from([",", ";", "\t", "|"]),
        st.booleans(),
        st.sampled_from(["utf-8", "utf-16", "latin-1"]),
        st.sampled_from([b"", b"", b"\xef\xbb\xbf", b"sep=;\n", b"PK\x03\x04", b"\0"]),
    ).map(written_out)
    whole = [
        b"id,name,email\n1,Anna,a@x.org\n2,Bo,b@x.org\n",
        b"Student,ID,SIS Login ID,Section,03 (1)\n    Points Possible,,,,10\nS, 1,a,b,\n",
        "Identifier,Full name,Email address,Status,Grade,Maximum Grade\nParticipant 7,Åsa,a@x.org,,,10\n".encode(),
    ]
    bad = st.tuples(st.sampled_from(whole), st.integers(0, 2**32)).map(
        lambda x: mutate(x[0], random.Random(x[1]), whole)
    )
    return (
        files
        | files
        | bad
        | st.binary(max_size=60)
        | st.sampled_from(
            [b'"' * 10_001, b"," * 100_000, b"\n" * 1000, b'id,name\n1,"' + b"x" * 200_000, b"id\n" + b"1\n" * 20_000]
        )
    )


def run_roster(case: bytes, folder: Path) -> None:
    """Read it, and fill the points in."""
    from coursekit.grade.roster import Roster

    path = folder / "roster.csv"
    path.write_bytes(case)
    found = Roster.read(path)
    names = [name for _, name in found.students()]
    results = [
        {"student": name, "ids": {"moodle_id": "7", "canvas_id": "1"}, "points": 3.5, "status": "graded"}
        for name in [*names[:20], "nobody"]
    ]
    found.export(results, folder / "out.csv", "03_metrics_by_hand", 10)


@functools.cache
def _graded() -> dict:
    """Return a result as the grader writes it."""
    import hashlib

    from coursekit.grade import judge

    return {
        **judge(exercise(), b"{}", unsafe=True),
        "status": "graded",
        "review": ["look"],
        "student": "Anna",
        "key": "anna",
        "file": "anna.ipynb",
        "digest": hashlib.sha256(b"{}").hexdigest(),
        "answers": {task: f"def {task}(): pass" for task in exercise().tasks},
        "notes": ["a note"],
        "printed": "text",
        "points": 1.0,
    }


def make_resume(rng: random.Random) -> bytes:
    """Draw what an earlier batch left."""
    before = {"exercise": exercise().name, "digest": exercise().digest, "seed": 3}
    if rng.random() < 0.3:
        return packed(batch=text_of(before, rng), result=json.dumps(_graded()).encode())
    return packed(batch=json.dumps(before).encode(), result=text_of(_graded(), rng, 0.85))


def run_resume(case: bytes, folder: Path) -> None:
    """Return what `cxr grade --resume` reads of the batch that was stopped: nothing is graded anew here."""
    from coursekit.grade import batch
    from coursekit.grade.submissions import Submission

    plan, out = unpacked(case), folder / "graded"
    for name in ("results", "feedback", "gradescope"):
        (out / name).mkdir(parents=True)
    (out / "batch.json").write_bytes(plan["batch"])
    (out / "results" / "anna.json").write_bytes(plan["result"])
    seed = batch._open_batch(out, exercise(), None, True)
    kept = batch._kept(out, Submission("Anna", "anna", "anna.ipynb", b"{}", "", (), {}))
    if kept is not None:
        batch._save(out, exercise(), kept)
        assert batch._summarize(out, exercise(), [kept, {**_graded(), "key": "bo"}], None, seed).counts()


def make_frame(rng: random.Random) -> bytes:
    """Return what the student's process sends to the grader: header and body of an answer."""
    import numpy as np

    from coursekit.grade.inside.codec import pack

    whole = pack(
        {"ok": True, "value": [1, "a", np.arange(6.0).reshape(2, 3), {"k": np.array(["x", "y"])}, float("nan")]}
    )
    size = struct.unpack(">Q", whole[:8])[0]
    header = json.loads(whole[16 : 16 + size])
    kind = rng.random()
    if kind < 0.2:
        return mutate(whole, rng)
    text = text_of(header, rng, 0.85)
    if kind < 0.3:
        shape = [rng.choice((0, 1, 2, 2**20, 2**39, -1)) for _ in range(rng.randrange(9))]
        text = json.dumps(
            {"value": {rng.choice("au"): rng.choice(("<f8", "|O", "<U9", ["a" * 10_000, "b"])), "s": shape}}
        ).encode()
    return struct.pack(">QQ", len(text), len(whole) - 16 - size) + text + whole[16 + size :]


def run_frame(case: bytes, folder: Path) -> None:
    """Unpack it."""
    from coursekit.grade.inside import codec

    head, body = codec.lengths(case[:16].ljust(16, b"\0"))
    rest = case[16:]
    codec.unpack(rest[:head], rest[head : head + body])

"""The command line: words and options of `cxr` that nobody meant."""

from __future__ import annotations

import json
from pathlib import Path

import click
from hypothesis import strategies as st

from .checkpoints import checkpoint_files
from .recipes import LETTERS
from .target import ROOT


def commands() -> st.SearchStrategy:
    """Draw the words of a command line."""
    odd = st.text(st.characters(exclude_characters="/\0~", exclude_categories=["Cs"]), max_size=10) | st.sampled_from(
        [
            "-1",
            "0",
            "nan",
            "1e9",
            "99999999999999999999",
            "--",
            "-",
            "--help",
            "folder:",
            "folder:nowhere",
            "folder:.",
            "model.pt",
            "result.json",
            "a=b",
            "n=0",
            "é",
            "pneumonia4x",
            "name=x",
            "root=1",
            "size=3",
            "progress=1",
        ]
    )
    option = st.sampled_from(
        [
            "n=20",
            "n=4",
            "n=0",
            "n=-1",
            "n=1e3",
            "n=100000000000",
            "n=true",
            "n=[]",
            "n=null",
            "seed=-1",
            "seed=x",
            "classes=x",
            "classes=[]",
            'classes=["normal"]',
            'classes=["normal","viral"]',
            "size=3",
            "root=1",
            "name=x",
            "progress=0",
            "workers=0",
            "workers=100000",
            "age=old",
            "shift=nan",
            "label_noise=2",
            "confounder={}",
            "confounder=[1]",
            'confounder={"marker":{"normal":7}}',
            "patient=(",
            "a=b",
            "=",
            "n",
            "n=" + "[" * 20_000,
            "n=" + "9" * 9000,
            "lesion_contrast=1e400",
            "bedside=x",
            "label_noise=NaN",
        ]
    )

    def words(command: list[str], *known: st.SearchStrategy) -> st.SearchStrategy:
        more = st.lists(st.one_of(*known, st.tuples(odd), st.tuples(st.just("-o"), option | odd)), max_size=4)
        return more.map(lambda parts: [*command, *(str(word) for part in parts for word in part)])

    size = st.tuples(st.just("--size"), odd | st.sampled_from([32, 16, 31, 33, 100_000, 0]))
    root = st.tuples(st.just("--root"), odd | st.just("."))
    seed = st.tuples(st.just("--seed"), odd | st.integers(-2, 3))
    return st.one_of(
        words(
            ["data", "phantom", "--size", "32", "-o", "n=12"],
            size,
            root,
            st.just(("--json",)),
            st.just(("--controls", "--quiet")),
            st.tuples(st.just("--against"), odd | st.sampled_from(["folder:.", "phantom"])),
            st.tuples(st.just("--html"), odd),
        ),
        words(
            ["data", "folder:."], size, root, st.just(("-o", "n=12")), st.just(("--json",)), st.just(("--controls",))
        ),
        words(
            ["data", "-o", "n=12"],
            st.tuples(st.sampled_from(["folder:", "phantoms", "pneumonia", "", "folder:model.pt"])),
            root,
        ),
        words(
            ["train", "--quiet", "--epochs", "1", "--model", "CPF", "--size", "32", "--out", "out", "-o", "n=30"],
            size,
            seed,
            root,
            st.tuples(st.just("--model"), LETTERS),
            st.tuples(st.just("--recipe"), odd),
            st.tuples(st.just("--lr"), odd),
            st.tuples(st.just("--attend"), odd | st.just("lungs")),
            st.tuples(st.just("--batch-size"), odd),
            st.tuples(st.just("--protocol"), odd | st.just("val10")),
            st.tuples(st.just("--by"), odd | st.just("picture")),
            st.tuples(st.just("--data"), odd),
            st.tuples(st.just("--record"), odd),
        ),
        words(
            ["evaluate", "model.pt", "--quiet", "-o", "n=12"],
            root,
            st.tuples(st.just("--threshold"), odd),
            st.tuples(st.just("--split"), odd),
            st.tuples(st.just("--out"), odd),
            st.tuples(st.just("--data"), odd),
        ),
        words(
            ["grade"],
            st.tuples(odd, odd),
            st.tuples(st.just("03"), st.sampled_from([".", "model.pt", "result.json", "nowhere"])),
            st.tuples(st.just("--course"), st.just(str(ROOT))),
            st.tuples(st.just("--roster"), st.just("result.json") | odd),
            seed,
        ),
        words(
            ["reproduce", "--list"],
            st.tuples(odd),
            st.tuples(st.just("--row"), odd),
            st.tuples(st.sampled_from(["A", "all", "F"])),
        ),
        words(["recipes"], st.tuples(odd)),
        words([], st.tuples(odd), st.tuples(odd)),
    ).filter(lambda args: "--unsafe" not in args and "--dask" not in args)


def run_command(case: bytes, folder: Path) -> None:
    """Run it."""
    from click.testing import CliRunner

    from cxrlib.cli import main

    args = json.loads(case)
    (folder / "model.pt").write_bytes(checkpoint_files()[0][0])
    (folder / "result.json").write_text("{}")
    done = CliRunner().invoke(main, args)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    if done.exit_code:
        raise click.ClickException(done.stderr.strip())

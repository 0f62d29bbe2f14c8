"""What is said before a book that is not the real one, or has old slides, goes to a class."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_questions import guess

from coursekit import build_notes, commands, course
from coursekit.build_book import chapters
from coursekit.course import ROOT
from coursekit.questions import __main__ as questions
from coursekit.slides import __main__ as slides
from coursekit.slides.plan import Slide

NOTE = "Note: this book is a quick build (CXR_FAST=1): its numbers do not fit its text. make book makes the real one.\n"


def built(folder: Path, settings: dict[str, str]) -> Path:
    """A build that ended with these settings."""
    (folder / "_build" / "html" / "_static" / "reveal").mkdir(parents=True, exist_ok=True)
    build_notes.end_build(folder / "_build", settings)
    return folder / "_build"


@pytest.mark.parametrize("settings, said", [
    ({}, ""), ({"CXR_FAST": "0", "CXR_DATA": "phantom", "CXR_DATA_DIR": "/x"}, ""), ({"CXR_FAST": "1"}, NOTE),
    ({"CXR_FAST": "1", "CXR_DATA": "pneumonia"}, "a quick build (CXR_FAST=1 CXR_DATA=pneumonia): its numbers"),
    ({"CXR_DATA": "pneumonia"}, "a build on other data (CXR_DATA=pneumonia): its numbers do not fit its text."),
])  # fmt: skip
def test_a_build_that_is_not_the_real_one_is_known(tmp_path, capsys, settings, said):
    build_notes.say_unusual(built(tmp_path, settings))
    shown = capsys.readouterr()
    assert not shown.out and (said in shown.err if said else not shown.err)


def test_without_a_build_there_is_nothing_to_say(tmp_path, capsys):
    build_notes.say_unusual(tmp_path / "_build")
    build_notes.say_old_slides(tmp_path / "_build" / "html")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("settings, said", [({"CXR_FAST": "1"}, NOTE), ({}, "")])
def test_each_command_that_leads_to_a_class_says_it(tmp_path, capsys, monkeypatch, settings, said):
    build, name = built(tmp_path, settings), chapters()[0].stem
    assert questions.main([str(tmp_path / "q"), "--chapter", name, "--book", str(build / "html")]) == 0
    assert capsys.readouterr().err == said
    monkeypatch.setattr(slides, "ROOT", tmp_path)
    monkeypatch.setattr(slides, "plan", lambda *_: [Slide("title", "Toys")])
    assert slides.main([name]) == 0 and capsys.readouterr().err == said
    monkeypatch.setattr(course, "ROOT", tmp_path)
    guess(tmp_path / "in", "a.json", {}, chapter=name)
    done = CliRunner().invoke(commands.predictions, [str(tmp_path / "in"), "--out", str(tmp_path / "p.html")])
    assert done.exit_code == 0 and done.stderr.startswith(said + "wrote"), done.output


def test_publish_says_what_is_not_the_real_book_and_which_slides_are_old(tmp_path):
    html = built(tmp_path, {"CXR_FAST": "1"}) / "html"
    (html / "searchindex.js").touch()
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "_config.yml", tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    deck, page = html / "slides" / "01_a.html", html / "chapters" / "01_a.html"
    for path in (page, deck):
        path.parent.mkdir()
        path.touch()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for changed, old in ((0, False), (60, True)):
        os.utime(page, (deck.stat().st_mtime + changed,) * 2)
        command = ["make", "-o", ".venv/.installed", "-o", "book", "publish", "OUT=out"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert done.returncode == 0 and (tmp_path / "out" / "slides" / "01_a.html").is_file(), done.stderr
        assert NOTE in done.stderr
        assert ("the slides are older than the book: make slides, then publish again" in done.stderr) == old

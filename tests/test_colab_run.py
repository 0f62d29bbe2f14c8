"""`tools/colab_run.py` on small notebooks: what runs, what fails, what an install replaced."""

import os
import sys

import nbformat
import pytest
from nbformat import v4

from tools import colab_run


@pytest.fixture
def write(tmp_path):
    def notebook(source: str) -> str:
        path = tmp_path / "one.ipynb"
        nbformat.write(v4.new_notebook(cells=[v4.new_code_cell(source)]), path)
        return str(path)

    return notebook


@pytest.fixture(autouse=True)
def _own_surroundings(monkeypatch):
    monkeypatch.setattr(os, "environ", os.environ.copy())


def tried(path: str) -> int:
    return colab_run.main([path, "--python", sys.executable])


@pytest.mark.slow
def test_a_notebook_finds_itself_in_colab(write, capsys):
    source = """
import os, subprocess, sys
assert "google.colab" in sys.modules
assert os.environ["CXR_FAST"] == "1"
command = ["git", "ls-remote", "ADDRESS", "HEAD"]
found = subprocess.run(command, capture_output=True, text=True)
assert "HEAD" in found.stdout.split(), found.stderr
"""
    address = colab_run.Site.read().url
    assert tried(write(source.replace("ADDRESS", address))) == 0
    assert "added nothing" in capsys.readouterr().out


@pytest.mark.slow
def test_a_cell_that_fails_is_named(write, capsys):
    assert tried(write("raise KeyError('nobody')")) == 1
    assert "KeyError: 'nobody'" in capsys.readouterr().out


@pytest.mark.slow
def test_a_replaced_package_is_a_failure(write, monkeypatch, capsys):
    lists = iter([{"numpy": "2.1.3", "gone": "1"}, {"numpy": "2.4.0", "new": "1"}])
    monkeypatch.setattr(colab_run, "installed", lambda python: next(lists))
    assert tried(write("1")) == 1
    out = capsys.readouterr().out
    assert "replaced: numpy 2.1.3 by 2.4.0" in out and "replaced: gone 1 by None" in out and "added new 1" in out


def test_pins_are_read_without_their_builds(tmp_path):
    (tmp_path / "list.txt").write_text("# Python 3.13\nTorch==2.11.0+cu128\nA_B==1\nodd line\n")
    assert colab_run.pins(tmp_path / "list.txt") == {"torch": "2.11.0", "a-b": "1"}

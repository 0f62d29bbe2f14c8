"""`make doctor` on machines that lack something."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def doctor(path: str, *arguments: str, **environment) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "coursekit.doctor", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": path, "HOME": "/nonexistent", **environment},
    )
    assert not done.stderr
    return done.returncode, done.stdout


def lines(text: str, what: str) -> str:
    """The line of a finding and its remedy."""
    found = text.splitlines()
    start = next(i for i, line in enumerate(found) if line[8:].startswith(what))
    return "\n".join(found[start : start + 2])


def test_a_machine_without_chromium_bubblewrap_and_data_is_told_so(tmp_path):
    _, text = doctor(str(tmp_path), CXR_DATA_DIR="/nowhere")
    assert "not found" in lines(text, "Chromium") and "apt install chromium" in lines(text, "Chromium")
    assert "`cxr grade` needs it" in lines(text, "bubblewrap") and "apt install bubblewrap" in lines(text, "bubblewrap")
    assert "no such folder" in lines(text, "real X-rays") and "train/NORMAL" in lines(text, "real X-rays")


def test_a_sandbox_that_may_not_work_is_told_apart_from_none(tmp_path):
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    _, text = doctor(f"{tmp_path}:/bin:/usr/bin")
    assert "does not work here: bwrap: No permissions" in lines(text, "bubblewrap")
    assert "systempaths=unconfined" in lines(text, "bubblewrap")
    status, text = doctor(f"{tmp_path}:/bin:/usr/bin", "--grading")
    assert status == 1 and "Repair first: " in text and "bubblewrap" in text.splitlines()[-1]


def test_the_tested_set_is_complete_here(sandbox):
    status, text = doctor(os.environ["PATH"])
    assert status == 0, text
    assert "have what they need" in text and "works" in lines(text, "bubblewrap")


def test_missing_packages_are_named_and_make_it_fail(tmp_path):
    from coursekit import doctor as tool

    (tmp_path / ".venv").mkdir()
    (tmp_path / "constraints.txt").write_text("# pins\nnumpy==0.0.1\na-package-nobody-has==1.0\n")
    (finding,) = tool.packages(tmp_path)
    assert "1 of 2" in finding.found and "a-package-nobody-has" in finding.found
    assert tool.report([finding])[1] == 1


@pytest.mark.parametrize("folders", [("train", "test"), ("train",)])
def test_real_images_are_recognized(tmp_path, folders):
    for name in folders:
        (tmp_path / name).mkdir()
    _, text = doctor(os.environ["PATH"], CXR_DATA_DIR=str(tmp_path))
    assert lines(text, "real X-rays").startswith("ok")

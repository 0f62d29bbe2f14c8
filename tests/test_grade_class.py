"""A class of 40: the grader is killed, goes on, and everybody has the right grade."""

import csv
import subprocess
import sys
import time

import class_of_40
import pytest


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_class_of_40_with_a_kill_bombs_and_a_team(sandbox, tmp_path):
    earned = class_of_40.make(tmp_path)
    assert len(earned) == 40
    command = [sys.executable, "-c", "from cxrlib.cli import main; main()", "grade", "03", tmp_path / "export.zip"]
    command += ["--roster", tmp_path / "worksheet.csv", "--out", tmp_path / "out", "--seed", "5", "--resume", "--quiet"]
    command = [*map(str, command), "--course", str(class_of_40.ROOT), "--jobs", "4"]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    results = tmp_path / "out" / "results"
    until = time.monotonic() + 300
    while len(list(results.glob("*.json"))) < 8 and time.monotonic() < until:
        time.sleep(0.2)
    first.kill()
    first.wait()
    kept = {path.name: path.stat().st_mtime_ns for path in results.glob("*.json")}
    assert 8 <= len(kept) < 39
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all((results / name).stat().st_mtime_ns == at for name, at in kept.items()), "what was graded is kept"
    with open(tmp_path / "out" / "roster.csv", newline="", encoding="utf-8") as file:
        rows = {row["Full name"]: row for row in csv.DictReader(file)}
    got = {name: float(row["Grade"]) if row["Grade"] else None for name, row in rows.items()}
    assert got == earned
    assert {row["Feedback comments"] for row in rows.values()} == {"- ok"}
    assert "Team Alpha" in done.stderr and "1 missing" in done.stdout and "not graded" not in done.stdout

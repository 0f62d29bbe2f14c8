"""Say what is installed, what is missing, and the remedy. Run by `make doctor`.

It needs nothing but Python, so it also answers where the set-up itself failed. The exit status is 1 when something
is missing that `make book` or `make test` needs, and with --grading also without a sandbox that works; the rest is only
told.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from .course import ROOT


@dataclass(frozen=True)
class Finding:
    """One line of the report; ``needed``: without it `make book` or `make test` fails."""

    what: str
    found: str
    remedy: str = ""
    needed: bool = False


def interpreter() -> Finding:
    """Look at this Python."""
    found = f"{platform.python_version()} ({sys.executable})"
    remedy = "Python 3.11 or newer is needed: make PYTHON=python3.12 book"
    return Finding("Python", found, "" if sys.version_info >= (3, 11) else remedy, needed=True)


def packages(root: Path = ROOT) -> list[Finding]:
    """Compare the packages of the tested set with what this interpreter has."""
    if not (root / ".venv").exists():
        return [Finding("packages", "no .venv yet", "nothing to do: `make book` or `make test` makes it", needed=False)]
    pins = dict(line.split("==") for line in (root / "constraints.txt").read_text().splitlines() if "==" in line)
    there = [(dist.metadata["Name"], dist.version) for dist in importlib.metadata.distributions()]
    have = {name.lower().replace("_", "-"): version.split("+")[0] for name, version in there if name}
    ours = {name: have.get(name.lower().replace("_", "-")) for name in pins}
    missing = [name for name, version in ours.items() if not version]
    other = [f"{name} {v} instead of {pins[name]}" for name, v in ours.items() if v and v != pins[name]]
    found = f"{len(pins) - len(missing)} of {len(pins)} of the tested set"
    if missing:
        found += f"; missing: {', '.join(missing[:5])}{' …' if len(missing) > 5 else ''}"
        return [Finding("packages", found, "rm -f .venv/.installed, then `make install`", needed=True)]
    return [Finding("packages", found + (f"; differing: {', '.join(other[:5])}" if other else ""))]


def program(what: str, names: tuple[str, ...], used_for: str, install: str) -> Finding:
    """Look for a program that may have several names."""
    path = next(filter(None, map(shutil.which, names)), None)
    return Finding(what, path or "not found", "" if path else f"{used_for}; {install}")


def sandbox(needed: bool = False) -> Finding:
    """Look for bubblewrap, and whether it may make namespaces here."""
    found = program("bubblewrap", ("bwrap",), "`cxr grade` needs it", "Debian, Ubuntu: sudo apt install bubblewrap")
    if found.remedy:
        return replace(found, needed=needed)
    command = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        docker = " ".join(f"--security-opt {it}=unconfined" for it in ("seccomp", "apparmor", "systempaths"))
        remedy = f"`cxr grade` needs user namespaces (Docker: {docker}; or use the host)"
        return Finding("bubblewrap", f"{found.found} does not work here: {done.stderr.strip()[:100]}", remedy, needed)
    return Finding("bubblewrap", f"{found.found}, works")


def data() -> Finding:
    """Look for the real images."""
    folder = os.environ.get("CXR_DATA_DIR")
    remedy = (
        "nothing to do: the course runs on phantoms. For real images set CXR_DATA_DIR to a folder with train/ "
        "and test/, or let kagglehub fetch them (CXR_DATA=pneumonia)"
    )
    if not folder:
        return Finding("real X-rays", "CXR_DATA_DIR is not set", remedy)
    place = Path(folder).expanduser()
    splits = [name for name in ("train", "test") if (place / name).is_dir()]
    if not place.is_dir() or not splits:
        wrong = "no train/ or test/ there" if place.is_dir() else "no such folder"
        remedy = "it must hold train/NORMAL, train/PNEUMONIA, test/NORMAL, test/PNEUMONIA"
        return Finding("real X-rays", f"CXR_DATA_DIR={folder}: {wrong}", remedy)
    return Finding("real X-rays", f"{place}: {' and '.join(splits)}")


def machine() -> list[Finding]:
    """Look at disk, processor, memory and graphics card."""
    free = shutil.disk_usage(ROOT).free / 2**30
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0
    enough = free > (1 if (ROOT / ".venv" / ".installed").exists() else 7)
    remedy = "" if enough else "the set-up takes 2 GB, with CUDA 7 GB: make room"
    return [
        Finding("disk", f"{free:.0f} GB free", remedy, needed=True),
        Finding("processor, memory", f"{cores} cores, {memory:.0f} GB"),
        Finding("GPU", "nvidia-smi found" if shutil.which("nvidia-smi") else "none (not needed)"),
    ]


def examine(grading: bool = False) -> list[Finding]:
    """Look at everything; with ``grading`` a sandbox is needed."""
    apt, browsers = "Debian, Ubuntu: sudo apt install", ("chromium", "chromium-browser", "google-chrome")
    programs = [
        program("make", ("make", "gmake"), "everything starts with it", f"{apt} make"),
        program("git", ("git",), "to get and send changes", f"{apt} git"),
        program("Chromium", browsers, "the browser tests are skipped without it", f"{apt} chromium"),
    ]
    return [interpreter(), *packages(), *programs, sandbox(needed=grading), data(), *machine()]


def report(findings: list[Finding]) -> tuple[str, int]:
    """Return the text to print and the exit status."""
    lines = []
    for finding in findings:
        sign = "ok" if not finding.remedy else "MISSING" if finding.needed else "-"
        lines.append(f"{sign:8s}{finding.what:20s}{finding.found}")
        if finding.remedy:
            lines.append(f"{'':28s}→ {finding.remedy}")
    bad = [finding.what for finding in findings if finding.remedy and finding.needed]
    lines += ["", f"Repair first: {', '.join(bad)}." if bad else "`make book` and `make test` have what they need."]
    return "\n".join(lines), int(bool(bad))


def main() -> int:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--grading", action="store_true", help="fail where submissions cannot be graded, too")
    text, status = report(examine(parser.parse_args().grading))
    print(text)
    return status


if __name__ == "__main__":
    sys.exit(main())

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
    version = platform.python_version()
    good = sys.version_info >= (3, 11)
    return Finding(
        "Python",
        f"{version} ({sys.executable})",
        "" if good else "Python 3.11 or newer is needed: make PYTHON=python3.12 book",
        needed=True,
    )


def packages(root: Path = ROOT) -> list[Finding]:
    """Compare the packages of the tested set with what this interpreter has."""
    if not (root / ".venv").exists():
        return [Finding("packages", "no .venv yet", "nothing to do: `make book` or `make test` makes it", needed=False)]
    pins = dict(line.split("==") for line in (root / "constraints.txt").read_text().splitlines() if "==" in line)
    have = {
        dist.metadata["Name"].lower().replace("_", "-"): dist.version
        for dist in importlib.metadata.distributions()
        if dist.metadata["Name"]
    }
    missing = [name for name in pins if name.lower().replace("_", "-") not in have]
    other = [
        f"{name} {version.split('+')[0]} instead of {pins[name]}"
        for name in pins
        if (version := have.get(name.lower().replace("_", "-"))) and version.split("+")[0] != pins[name]
    ]
    found = f"{len(pins) - len(missing)} of {len(pins)} of the tested set"
    if missing:
        return [
            Finding(
                "packages",
                f"{found}; missing: {', '.join(missing[:5])}{' …' if len(missing) > 5 else ''}",
                "rm -f .venv/.installed, then `make install`",
                needed=True,
            )
        ]
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
        return Finding(
            "bubblewrap",
            f"{found.found} does not work here: {done.stderr.strip()[:100]}",
            "`cxr grade` needs user namespaces (Docker: --security-opt seccomp=unconfined --security-opt "
            "apparmor=unconfined --security-opt systempaths=unconfined; or use the host)",
            needed,
        )
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
        return Finding(
            "real X-rays",
            f"CXR_DATA_DIR={folder}: {wrong}",
            "it must hold train/NORMAL, train/PNEUMONIA, test/NORMAL, test/PNEUMONIA",
        )
    return Finding("real X-rays", f"{place}: {' and '.join(splits)}")


def machine(root: Path = ROOT) -> list[Finding]:
    """Look at disk, processor, memory and graphics card."""
    free = shutil.disk_usage(root).free / 2**30
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0
    enough = free > (1 if (root / ".venv" / ".installed").exists() else 7)
    findings = [
        Finding(
            "disk", f"{free:.0f} GB free", "" if enough else "the set-up takes 2 GB, with CUDA 7 GB: make room", True
        ),
        Finding("processor, memory", f"{cores} cores, {memory:.0f} GB"),
    ]
    gpu = shutil.which("nvidia-smi")
    findings.append(Finding("GPU", "nvidia-smi found" if gpu else "none (not needed)"))
    return findings


def examine(grading: bool = False) -> list[Finding]:
    """Look at everything; with ``grading`` a sandbox is needed."""
    apt = "Debian, Ubuntu: sudo apt install"
    return [
        interpreter(),
        *packages(),
        program("make", ("make", "gmake"), "everything starts with it", f"{apt} make"),
        program("git", ("git",), "to get and send changes", f"{apt} git"),
        program(
            "Chromium",
            ("chromium", "chromium-browser", "google-chrome"),
            "the browser tests are skipped without it",
            f"{apt} chromium",
        ),
        sandbox(needed=grading),
        data(),
        *machine(),
    ]


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

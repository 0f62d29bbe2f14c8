"""Say what is installed, what is missing, and the remedy. Run by `make doctor`.

It needs nothing but Python, so it also answers where the set-up itself failed. The exit status is 1 when something
is missing that `make book` or `make test` needs; the rest is only told.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .course import ROOT


@dataclass(frozen=True)
class Finding:
    """One line of the report. needed: without it `make book` or `make test` fails."""

    what: str
    found: str
    remedy: str = ""
    needed: bool = False


def interpreter() -> Finding:
    version = platform.python_version()
    good = sys.version_info >= (3, 11)
    return Finding(
        "Python",
        f"{version} ({sys.executable})",
        "" if good else "Python 3.11 or newer is needed: make PYTHON=python3.12 book",
        needed=True,
    )


def packages(root: Path = ROOT) -> list[Finding]:
    """The packages of the tested set against what this interpreter has."""
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
    path = next(filter(None, map(shutil.which, names)), None)
    return Finding(what, path or "not found", "" if path else f"{used_for}; {install}")


def sandbox() -> Finding:
    """bubblewrap, and whether it may make namespaces here."""
    found = program("bubblewrap", ("bwrap",), "`cxr grade` needs it", "Debian, Ubuntu: sudo apt install bubblewrap")
    if found.remedy:
        return found
    command = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return Finding(
            "bubblewrap",
            f"{found.found} does not work here: {done.stderr.strip()[:100]}",
            "`cxr grade` needs user namespaces (Docker: --security-opt seccomp=unconfined, or use the host)",
        )
    return Finding("bubblewrap", f"{found.found}, works")


def data() -> Finding:
    """The real images."""
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
    free = shutil.disk_usage(root).free / 2**30
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0
    findings = [
        Finding("disk", f"{free:.0f} GB free", "" if free > 4 else "the set-up takes 3 GB: make room", True),
        Finding("processor, memory", f"{cores} cores, {memory:.0f} GB"),
    ]
    gpu = shutil.which("nvidia-smi")
    findings.append(Finding("GPU", "nvidia-smi found" if gpu else "none (not needed)"))
    return findings


def examine() -> list[Finding]:
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
        sandbox(),
        data(),
        *machine(),
    ]


def report(findings: list[Finding]) -> tuple[str, int]:
    """The text to print and the exit status."""
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
    text, status = report(examine())
    print(text)
    return status


if __name__ == "__main__":
    sys.exit(main())

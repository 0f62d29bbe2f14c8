"""What the set-up cell of the notebooks would do to Google Colab: what it adds, how large that is, what it replaces.

Colab comes with hundreds of packages; an install that replaces one of them may break the others and asks for a
restart. So the set-up cell may add a little and must replace nothing. This tool takes the runtime requirements from
pyproject.toml and follows them as pip would: what Colab has already must be good enough, what it lacks is fetched
with `pip download` (the wheel that Colab's Python would get) and its own requirements are followed in turn. A package
that Colab has is never handed to pip, so torch is never downloaded. Needs the package index that pip is configured
for. The exit status is 1 when something would be replaced, has no wheel, or the download is too large.
"""

from __future__ import annotations

import argparse
import email
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).resolve().parent.parent
LISTS = [ROOT / "tests" / "data" / name for name in ("colab-cpu.txt", "colab-gpu.txt")]
LIMIT_MB = 10


@dataclass(frozen=True)
class Runtime:
    """A Colab runtime: its Python, such as "3.13", and its packages, name -> version."""

    name: str
    python: str
    packages: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> Runtime:
        """Read a list of packages, whose first line names the Python."""
        text = path.read_text(encoding="utf-8")
        python = re.search(r"^#.*\bPython (3\.\d+)", text)
        if python is None:
            raise ValueError(f"{path}: the first line must be a comment that names the Python, such as Python 3.13")
        lines = [line.partition("==") for line in text.splitlines() if line and line[0] != "#"]
        return cls(path.stem, python[1], {canonicalize_name(name): version for name, _, version in lines})

    def applies(self, requirement: Requirement, extra: str = "") -> bool:
        """Tell whether a requirement's marker holds in this runtime."""
        return requirement.marker is None or requirement.marker.evaluate(
            {
                "python_version": self.python,
                "python_full_version": f"{self.python}.0",
                "implementation_version": f"{self.python}.0",
                "implementation_name": "cpython",
                "platform_python_implementation": "CPython",
                "os_name": "posix",
                "sys_platform": "linux",
                "platform_system": "Linux",
                "platform_machine": "x86_64",
                "extra": extra,
            }
        )


@dataclass
class Outcome:
    """What an install would do. added: (package, version, bytes, who needs it)."""

    added: list[tuple[str, str, int, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """Bytes to download in all."""
        return sum(size for _, _, size, _ in self.added)


def fetch(requirement: Requirement, python: str, folder: Path) -> Path | None:
    """Return the wheel that pip would take for this requirement alone, or None."""
    place = Path(tempfile.mkdtemp(dir=folder))
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary=:all:",
            "--implementation=cp",
            f"--python-version={python}",
            "--platform=manylinux_2_28_x86_64",
            "--platform=manylinux2014_x86_64",
            f"--dest={place}",
            f"{requirement.name}{requirement.specifier}",
        ],
        capture_output=True,
    )
    return next(place.glob("*.whl"), None)


def follow(lines: list[str], who: str, runtime: Runtime, installed: dict[str, str], folder: Path) -> Outcome:
    """Walk from these requirements to everything that pip would add beside `installed`."""
    outcome = Outcome()
    chosen: dict[str, tuple[str, int, str]] = {}
    wanted: dict[str, Requirement] = {}
    missing: set[str] = set()
    queue = deque((Requirement(line), who) for line in lines)
    while queue:
        need, why = queue.popleft()
        name = canonicalize_name(need.name)
        if name in missing or not runtime.applies(need):
            continue
        if need.url:
            outcome.problems.append(f"{why} takes {name} from an address: pip would install it whatever is there")
            continue
        if name in installed:
            if not need.specifier.contains(installed[name], prereleases=True):
                outcome.problems.append(
                    f"{name} {installed[name]} would be replaced: {why} needs {name}{need.specifier}"
                )
            continue
        if name in wanted:
            need.specifier &= wanted[name].specifier
            need.extras |= wanted[name].extras
            if need.extras == wanted[name].extras and need.specifier.contains(chosen[name][0], prereleases=True):
                continue
        wanted[name] = need
        wheel = fetch(need, runtime.python, folder)
        if wheel is None:
            outcome.problems.append(
                f"{name}{need.specifier}, which {why} needs: pip finds no wheel for Python "
                f"{runtime.python} (no such version, sources only, or no package index)"
            )
            missing.add(name)
            continue
        version = str(parse_wheel_filename(wheel.name)[1])
        chosen[name] = (version, wheel.stat().st_size, why)
        with zipfile.ZipFile(wheel) as archive:
            inside = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
            metadata = email.message_from_bytes(archive.read(inside))
        for line in metadata.get_all("Requires-Dist") or []:
            further = Requirement(line)
            if any(runtime.applies(further, extra) for extra in ("", *need.extras)):
                further.marker = None
                queue.append((further, f"{name} {version}"))
    outcome.added = [(name, *rest) for name, rest in sorted(chosen.items())]
    return outcome


def check(pyproject: Path, runtime: Runtime) -> Outcome:
    """Return what the set-up cell would do to this runtime."""
    settings = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    project = settings["project"]
    with tempfile.TemporaryDirectory() as folder:
        outcome = follow(project["dependencies"], project["name"], runtime, runtime.packages, Path(folder))
        # pip builds the library in a clean environment of its own: downloaded too, but nothing there is replaced.
        building = follow(settings["build-system"]["requires"], "the build", runtime, {}, Path(folder))
    clone = subprocess.run(["git", "archive", "--format=tar.gz", "HEAD"], cwd=pyproject.parent, capture_output=True)
    if clone.returncode == 0:
        outcome.added.append(("the course", "", len(clone.stdout), "cloned by the set-up cell"))
    outcome.added += building.added
    outcome.problems += building.problems
    return outcome


def main(arguments: list[str] | None = None) -> int:
    """Check every list of packages that Colab has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pyproject", type=Path, default=ROOT / "pyproject.toml", help="the project to install")
    parser.add_argument(
        "--lists",
        type=Path,
        nargs="+",
        default=LISTS,
        metavar="FILE",
        help="what a runtime has, one name==version a line; default: tests/data/colab-*.txt",
    )
    parser.add_argument("--limit", type=float, default=LIMIT_MB, metavar="MB", help="largest download (default 10)")
    options = parser.parse_args(arguments)
    broken = False
    for path in options.lists:
        runtime = Runtime.read(path)
        outcome = check(options.pyproject, runtime)
        print(f"{runtime.name}: Python {runtime.python}, {len(runtime.packages)} packages are there. An install adds")
        for name, version, size, why in outcome.added:
            print(f"  {name:<20}{version:<14}{size / 1e6:7.2f} MB  ({why})")
        print(f"  {'together':<34}{outcome.bytes / 1e6:7.2f} MB  of at most {options.limit:g} MB")
        if outcome.bytes > options.limit * 1e6:
            outcome.problems.append(f"{outcome.bytes / 1e6:.1f} MB is more than {options.limit:g} MB")
        for problem in outcome.problems or ["replaces nothing"]:
            print(f"  {problem}")
        print()
        broken |= bool(outcome.problems)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())

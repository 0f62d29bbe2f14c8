"""Write the repository's address into everything that needs it. Run by `make address URL=…`.

The address lives in _config.yml. From there the set-up cells, badges, buttons and links of chapters, notebooks and
exercises are made again; CITATION.cff gets it, too.

    python -m coursekit.address https://github.com/OWNER/NAME [--branch main]
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from . import exercises, notebooks

ADDRESS = re.compile(r"https://github\.com/[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}")


def set_address(root: Path, url: str, branch: str | None = None) -> None:
    """Put the address into _config.yml and CITATION.cff of a copy of the repository. Raises ValueError."""
    url = url.strip().rstrip("/").removesuffix(".git")
    if not ADDRESS.fullmatch(url):
        raise ValueError(f"{url!r} is not of the form https://github.com/OWNER/NAME (Colab opens from GitHub)")
    config = root / "_config.yml"
    text = config.read_text(encoding="utf-8")
    text, found = re.subn(r"^(repository:\n  url: ).*$", lambda m: m[1] + url, text, flags=re.M)
    if branch:
        text = re.sub(r"^(repository:\n  url: .*\n  branch: ).*$", lambda m: m[1] + branch, text, flags=re.M)
    if found != 1:
        raise ValueError(f"{config} has no lines 'repository:' and '  url:' one after the other")
    config.write_text(text, encoding="utf-8", newline="\n")
    citation = root / "CITATION.cff"
    text = re.sub(r"^repository-code: .*\n", "", citation.read_text(encoding="utf-8"), flags=re.M)
    citation.write_text(
        re.sub(r"^(license: .*\n)", lambda m: f"{m[1]}repository-code: {url}\n", text, flags=re.M),
        encoding="utf-8",
        newline="\n",
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("url", help="https://github.com/OWNER/NAME")
    parser.add_argument("--branch", help="branch that Colab reads [default: as it is]")
    asked = parser.parse_args()
    try:
        set_address(notebooks.ROOT, asked.url, asked.branch)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    sys.argv[1:] = []
    return notebooks.main() or exercises.main()


if __name__ == "__main__":
    sys.exit(main())

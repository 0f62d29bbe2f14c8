"""Where the course lies: the folder that holds `_config.yml`, `chapters/` and `solutions/`."""

from pathlib import Path

#: The current folder where it is a course, else the checkout that this package is in.
ROOT = Path.cwd() if (Path.cwd() / "_config.yml").is_file() else Path(__file__).resolve().parents[1]

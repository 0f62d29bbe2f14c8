"""What the widgets say, in the language that the environment variable CXR_LANG names; without it, in English.

Set it before cxrlib is imported: much of what widgets say is translated then.
"""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path

from .validate import one_of

_TABLES = Path(__file__).with_name("locale")  # LANGUAGE.json, which `make gettext` writes from locale/ of the course


@cache
def table(code: str) -> dict[str, str]:
    """Return the words of a language (its code) by the English ones, with {0}, {1} where something is put in."""
    if not code:
        return {}
    one_of("CXR_LANG", code, ["en", *translated()])
    return json.loads((_TABLES / f"{code}.json").read_text(encoding="utf-8"))


def translated() -> list[str]:
    """Return the codes of the languages that there are words of."""
    return sorted(file.stem for file in _TABLES.glob("*.json"))


def language() -> str:
    """Return the code of the language of now, "" for English."""
    code = os.environ.get("CXR_LANG", "")
    return "" if code == "en" else code


def t(english: str, *values: object) -> str:
    """Return this sentence in the language of now, with the values put in."""
    return table(language()).get(english, english).format(*values)


def with_words(script: str) -> str:
    """Put before a script what its t`sentences` need: the function t, and what the language has of these sentences."""
    words = Path(__file__).parent.joinpath("widgets", "words.js").read_text(encoding="utf-8")
    longest = {english: max(re.split(r"\{\d+\}", english), key=len) for english in table(language())}
    here = {english: table(language())[english] for english, part in longest.items() if part in script}
    return words.replace("{}", json.dumps(here, ensure_ascii=False).replace("<", "\\u003c"), 1) + script

"""The library page, computed from what `cxrlib` exports: it cannot drift from the code."""

from __future__ import annotations

import html
import inspect
import re
import types

import cxrlib

_HEADING = re.compile(r"^([A-Z][A-Za-z ]+)\n-{3,}$", re.M)
_ENTRIES = {"Parameters", "Other Parameters", "Returns", "Yields", "Raises", "Attributes", "Methods"}


def inline(text: str) -> str:
    """Escaped text with ``literals``, `names` and :class:`roles` as code."""
    return re.sub(r"(?::[a-z]+:)?(`+)~?([^`]+)\1", r"<code>\2</code>", html.escape(text, quote=False))


def _paragraph(text: str) -> str:
    """Running text as a paragraph; ``name: …`` lines as a list; anything else that is indented as laid out."""
    entries = re.split(r"\n(?=\S)", text)
    named = [re.match(r"([\w*, ]+): (.*)", entry, re.S) for entry in entries]
    if len(entries) > 1 and all(named):
        return f"<dl>{''.join(_definition(m[1], '', m[2]) for m in named)}</dl>"
    laid_out = any(line.startswith((" ", "- ")) for line in text.split("\n"))
    return f"<p{' class=laid-out' if laid_out else ''}>{inline(text)}</p>"


def _definition(name: str, kind: str, body: str) -> str:
    body = inspect.cleandoc(body)
    table = re.search(r"\S {2,}\S", body)  # a small table drawn with spaces keeps its lines
    kind = f" <small>{inline(kind)}</small>" if kind else ""
    start = f"<dt><code>{html.escape(name)}</code>{kind}</dt>"
    return f"{start}<dd{' class=laid-out' if table else ''}>{inline(body)}</dd>"


def _entry_list(text: str) -> str:
    """The ``name : type`` entries of a NumPy section, each with its indented description."""
    rows = []
    for entry in re.split(r"\n(?=\S)", text):
        head, _, body = entry.partition("\n")
        name, _, kind = head.partition(" : ")
        rows.append(_definition(name, kind, body))
    return f"<dl>{''.join(rows)}</dl>"


def render(doc: str) -> str:
    """A docstring as HTML: paragraphs, and the sections of the NumPy style."""
    parts = _HEADING.split(inspect.cleandoc(doc))
    pieces = [_paragraph(p) for p in re.split(r"\n\s*\n", parts[0].strip()) if p]
    for title, text in zip(parts[1::2], parts[2::2], strict=True):
        pieces.append(f"<h4>{title}</h4>")
        if title in _ENTRIES:
            pieces.append(_entry_list(text.strip("\n")))
        else:
            pieces += [_paragraph(p) for p in re.split(r"\n\s*\n", text.strip()) if p]
    return "".join(pieces)


def first_line(thing) -> str:
    """The summary of a docstring: its first paragraph on one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def signature(name: str, thing) -> str:
    """``name(arguments)`` without type annotations, or the bare name."""
    if not callable(thing):
        return name
    try:
        given = inspect.signature(thing)
    except (TypeError, ValueError):
        return f"{name}(…)"
    bare = [p.replace(annotation=p.empty) for p in given.parameters.values() if p.name != "self"]
    return f"{name}{given.replace(parameters=bare, return_annotation=given.empty)}"


def members(thing) -> list[tuple[str, object]]:
    """The documented public methods and properties of a class, or functions of a module, as written."""
    return [
        (name, value)
        for name, value in vars(thing).items()
        if not name.startswith("_")
        and (callable(value) or isinstance(value, property | classmethod | staticmethod))
        and (inspect.isclass(thing) or getattr(value, "__module__", "").startswith(thing.__name__))
        and inspect.getdoc(getattr(thing, name))
    ]


def _entry(name: str, thing) -> str:
    title = html.escape(signature(name, thing))
    rows = [f'<section class="api" id="api-{name}"><h3><code>{title}</code></h3>']
    if isinstance(thing, dict):
        names = ", ".join(f"<code>{html.escape(str(key))}</code>" for key in thing)
        rows.append(f"<p>A dictionary; its names: {names}.</p>")
    else:
        rows.append(render(inspect.getdoc(thing) or ""))
    if inspect.isclass(thing) or inspect.ismodule(thing):
        for member, value in members(thing):
            shown = member if isinstance(value, property) else signature(member, getattr(thing, member))
            rows.append(f'<details id="api-{name}.{member}">')
            rows.append(f"<summary><code>{html.escape(shown)}</code></summary>")
            rows.append(render(inspect.getdoc(getattr(thing, member))) + "</details>")
    return "".join(rows) + "</section>"


def public() -> list[tuple[str, object]]:
    """What ``cxrlib`` exports, modules last."""
    things = [(name, getattr(cxrlib, name)) for name in cxrlib.__all__ if not name.startswith("_")]
    return sorted(things, key=lambda pair: isinstance(pair[1], types.ModuleType))


class Page:
    """Shows itself in a notebook: a table of the names, then one section each."""

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><td><a href="#api-{name}"><code>{name}</code></a></td><td>{self._line(thing)}</td></tr>'
            for name, thing in public()
        )
        body = "".join(_entry(name, thing) for name, thing in public())
        return f'<div class="api-page"><table><tbody>{rows}</tbody></table>{body}</div>'

    @staticmethod
    def _line(thing) -> str:
        return f"{len(thing)} named entries" if isinstance(thing, dict) else inline(first_line(thing))

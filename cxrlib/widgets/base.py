"""StaticWidget: an anywidget that also shows itself on a page without a kernel."""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import sys
from pathlib import Path

import anywidget
import traitlets

from ..files import write_page
from ..words import language, t, with_words

_HERE = Path(__file__).resolve().parent
_SHARED = (_HERE / "kit.css").read_text(encoding="utf-8")
_SHIM = (_HERE / "static.js").read_text(encoding="utf-8")


def kit(*names: str) -> tuple[str, str]:
    """Return script and style of a widget: what all share (kit.js, kit.css), then NAME.js and NAME.css of each name."""
    files = [[_HERE / f"{name}.{ending}" for name in ("kit", *names)] for ending in ("js", "css")]
    script, style = ("\n".join(f.read_text(encoding="utf-8") for f in kind if f.exists()) for kind in files)
    return with_words(script), style


class StaticWidget(anywidget.AnyWidget):
    """Base of the course's widgets: live with a kernel, and self-contained HTML without one.

    A subclass sets ``_esm`` and ``_css`` (files; plain JavaScript and CSS, nothing loaded from elsewhere). The
    module must define a function ``render({ model, el })`` and end in ``export default { render };``. Without
    a kernel ``model.get(name)`` reads from ``static_state()``, ``model.set`` notifies ``change:name``
    listeners, ``model.send`` does nothing and ``model.kernel`` is ``false``.
    """

    # ipywidgets 7 (Colab) defines this method, and IPython then never asks for _repr_mimebundle_.
    _ipython_display_ = None

    #: One sentence for where neither widgets nor HTML are shown.
    summary = t("An interactive widget.")

    #: Whether its script runs a network in the page (live.js) by TensorFlow.js, which is loaded when it is seen: a page
    #: of the book finds tfjs.js beside it, a saved page holds it.
    runs_network = False

    def static_state(self) -> dict:
        """Return what the page needs when there is no kernel, as plain JSON values; by default the synced traits."""
        own = [key for key in self.traits(sync=True) if key[0] != "_" and key not in ("layout", "tabbable", "tooltip")]
        return {key: getattr(self, key) for key in own}

    def to_html(self) -> str:
        """Return the widget as a piece of HTML that needs no kernel, no network and no other file."""
        script, style = str(self._esm), str(getattr(self, "_css", ""))
        if not re.search(r"export default \{ render \};\s*$", script):
            raise ValueError(f"the module of {type(self).__name__} must end in 'export default {{ render }};'")
        if re.search(r"</script|<!--", script, re.I) or re.search(r"</style", style, re.I):
            raise ValueError(f"the module or style of {type(self).__name__} would end its own HTML element")
        # In a script element only "<" can end the element or open a comment; \u003c is the same to JSON.
        state = json.dumps(self.static_state(), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
        lacking = html.escape(t("{0} It needs JavaScript.", self.summary))
        shared = _SHARED if style.startswith(_SHARED) else ""  # once in a page, before all others: see static.js
        digest = hashlib.blake2b((script + style + state).encode(), digest_size=6).hexdigest()
        return (
            f'<style class="cxr-shared">{shared}</style><style>{style[len(shared) :]}</style>'
            f'<div class="cxr-static" data-cxr="{digest}" lang="{language() or "en"}"><p>{lacking}</p>'
            f'</div><script type="application/json" id="cxr-state-{digest}">{state}</script>'
            f'<script type="module">{script}{_SHIM.replace("DIGEST", digest)}</script>'
        )

    def save_html(self, path: str | os.PathLike, title: str | None = None) -> Path:
        """Write the widget to a page of its own, which opens in any browser, also from the disk; return the path.

        An existing file is replaced. The title is by default the class's name.
        """
        if Path(path).is_dir():
            raise ValueError(f"path: {path} is a folder; give the name of a file")
        return write_page(path, title or type(self).__name__, self._held() + self.to_html())

    def _held(self) -> str:
        return f'<script type="text/plain" id="cxr-tfjs">{tfjs()}</script>' if self.runs_network else ""

    def _repr_mimebundle_(self, **kwargs) -> tuple[dict, dict]:
        data, metadata = super()._repr_mimebundle_(**kwargs)
        data["text/plain"] = self.summary
        # Colab always has a kernel, and might take the HTML instead of the live widget.
        if "google.colab" not in sys.modules:
            data["text/html"] = self.to_html()
        return data, metadata


class PageWidget(StaticWidget):
    """A widget whose script is told everything at once, in ``page``; Jupyter shows that page, without a kernel."""

    page = traitlets.Dict().tag(sync=True)

    def __init__(self, **traits: object) -> None:
        super().__init__(**traits)
        self.on_msg(self._receive)

    def _receive(self, _widget: PageWidget, content: dict, buffers: list) -> None:
        if content == {"type": "tfjs"}:  # in Colab: a script that runs a network asks for it
            self.send({"type": "tfjs", "script": tfjs()})

    def _repr_mimebundle_(self, **kwargs) -> tuple[dict, dict]:
        data, metadata = super()._repr_mimebundle_(**kwargs)
        if "text/html" in data:  # alone: "model not found" stands where a widget with a kernel was saved
            del data["application/vnd.jupyter.widget-view+json"]
            data["text/html"] = ("" if "CXR_BOOK" in os.environ else self._held()) + data["text/html"]
        return data, metadata


def tfjs() -> str:
    """Return TensorFlow.js as one script (tools/tfjs.sh made it)."""
    return (_HERE / "tfjs.js").read_text(encoding="utf-8")

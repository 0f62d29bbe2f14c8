"""The app: a web page that looks at one X-ray with a trained model. Served by Voilà, see ``serve``.

A run folder of ``cxr train`` has all it needs: the network, and the predictions for the validation and test images.
No image of a data set is shown: the examples are phantoms.
"""

from __future__ import annotations

import html
import importlib.util
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .data import CxrDataset, load
from .files import write_json
from .inputs import network
from .metrics import Report
from .phantom import CLASSES
from .run import RESULT, Run
from .validate import whole
from .values import text

if TYPE_CHECKING:
    import ipywidgets

NO_DEVICE = "This is a course, not a medical device. Nothing here is fit for looking after patients."
EXAMPLES = 8
# Voilà's page asks another host for icons. An X-ray is open on it: the browser is told to talk to this computer only.
_POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; connect-src 'self' ws://127.0.0.1:* "
    "ws://localhost:*; form-action 'self'; frame-ancestors 'self'"
)
# Every visit has a kernel of its own, with the pictures that were opened. It ends when the page says goodbye or, where
# a browser could not, a minute after its last word. Voilà gives the page no _xsrf cookie, so that the goodbye would be
# refused; it names a kernel by a random id that no other page can know.
_HEADERS = {"headers": {"Content-Security-Policy": _POLICY}, "disable_check_xsrf": True}
_SETTINGS = {
    "Voila": {"ip": "127.0.0.1", "tornado_settings": _HEADERS},
    "VoilaConfiguration": {"show_tracebacks": True},
    "MappingKernelManager": {"cull_idle_timeout": 60, "cull_interval": 15, "cull_connected": False},
}
_KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
# The names of the tabs that are not open are too pale to be read in Jupyter's theme.
_STYLE = ".jupyter-widgets.widget-tab > .lm-TabBar .lm-TabBar-tab { color: #333; }"
_HEAD = (
    f"<style>{_STYLE}</style><h1>What does the network see?</h1><p>Drop an X-ray of your own on the page (PNG, JPEG or "
    "DICOM), or choose one of the examples, which are computed, not real. The picture stays in this computer's memory, "
    "is forgotten when the page is closed, and is not sent anywhere. On the second tab you see how often the model is "
    f"right, and choose where it decides.</p><p role='note'><b>{NO_DEVICE}</b></p>"
)


def page(folder: str | Path) -> ipywidgets.Widget:
    """Make the page of a run's folder as one widget."""
    import ipywidgets

    from .widgets import CamInspector, ConfusionExplorer, ThresholdExplorer

    run = _opened(folder)
    classes = run.classes
    known = set(classes) <= set(CLASSES)  # else the examples are shown without a true class
    names = classes if known else CLASSES[:2]
    made = load("phantom", run.recipe.read_size, n=EXAMPLES, classes=names, progress=False)
    examples = CxrDataset(made.images, made.labels, classes, made.patients, made.table, made.masks, made.lungs)
    examples = run.prepare(examples)
    two = len(classes) == 2
    predictions = {"validation": run.validation, "test": run.test}.items()
    reports = {name: Report(it.labels, run.calibrate(it.probs), classes, bootstrap=0) for name, it in predictions}
    inspector = CamInspector(
        run.model, examples, images=range(len(examples)), names=[run.model.name], truth=known, precompute=False,
        decision=0.5 if two else None, predict=lambda model, data: run.predict(data, calibrated=True),
        prepare=run.prepare, upload_size=run.recipe.read_size,
    )  # fmt: skip
    if two:
        explorer = ThresholdExplorer(reports, threshold=0.5)
        explorer.observe(lambda change: inspector.decide(change["new"]), "threshold")
    else:
        explorer = ConfusionExplorer(reports)
    tab = ipywidgets.Tab([inspector, explorer, ipywidgets.HTML(_about(run))])
    for i, title in enumerate(("X-ray", "Threshold" if two else "Mistakes", "Model")):
        tab.set_title(i, title)
    return ipywidgets.VBox([ipywidgets.HTML(_HEAD), tab], layout={"max_width": "70rem", "margin": "0 auto"})


def _opened(folder: str | Path) -> Run:
    run = Run.open(folder)
    network("run", run.model, findings=False)
    return run


def _about(run: Run) -> str:
    scores = run.record["test"]

    def measured(name: str) -> str:
        interval = np.array(scores["intervals"].get(name) or (None, None), float)  # null is NaN
        return text(scores["values"].get(name), *interval)

    rows = {
        "network": f"{run.recipe.model}, {run.recipe.size} px",
        "classes": ", ".join(run.classes),
        "trained on": run.record["data"]["source"],
        "accuracy on its test images": measured("accuracy"),
        "AUC on its test images": measured("auc"),
        "temperature": f"{run.temperature:.2f}",
    }
    head = "<tr><th scope='row' style='text-align:left;padding-right:1.5em'>"
    cells = "".join(f"{head}{html.escape(k)}</th><td>{html.escape(str(v))}</td></tr>" for k, v in rows.items())
    return (
        f"<table>{cells}</table><p>In brackets: 95 % intervals. The test images come from where the training images "
        "come from; on X-rays of another hospital the network may be much worse, and nothing here would show it. It "
        "answers for any picture, a holiday photograph included: it was never taught to say that something is no chest "
        "X-ray. Probabilities are calibrated with one temperature, fitted on the validation images. A heat map "
        "shows what the network used, not where an illness is.</p>"
    )


def demo(folder: str | Path, progress: bool = True) -> Path:
    """Train a small network on phantoms, for those who have no run of their own yet; once."""
    from . import recipes
    from .experiment import run

    folder = Path(folder)
    if not (folder / RESULT).is_file():  # which is written last: the rest is there
        run("phantom", recipes["augmented"].replace(size=96), folder=folder, name="app", progress=progress)
    return folder


def serve(folder: str | Path, *, port: int = 8866, browser: bool = True) -> None:
    """Serve the page of a run's folder on this computer alone, until a signal to end."""
    if importlib.util.find_spec("voila") is None:
        raise ModuleNotFoundError("the app is served by Voilà, which is not here: pip install 'cxrlib[app]'")
    import nbformat.v4 as notebooks
    from traitlets.config import Config
    from voila.app import Voila

    whole("port", port, 1, 65535)
    _opened(folder)  # an error here is read more easily than one on the page
    with tempfile.TemporaryDirectory(prefix="cxr-app-") as place:
        notebook = Path(place) / "app.ipynb"
        cell = notebooks.new_code_cell(f"from cxrlib.app import page\npage({str(Path(folder).resolve())!r})")
        metadata = {"title": "What does the network see?", "kernelspec": _KERNEL}
        write_json(notebook, notebooks.new_notebook(cells=[cell], metadata=metadata))
        # In this process: what ends it ends Voilà, and Voilà ends the kernels.
        server = Voila(config=Config(_SETTINGS))
        options = [f"--port={port}"] if browser else [f"--port={port}", "--no-browser"]
        server.initialize([str(notebook), *options])
        if hasattr(signal, "SIGHUP"):  # the terminal is closed
            signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))
        server.start()

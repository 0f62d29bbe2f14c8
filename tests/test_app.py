"""The app: a run folder becomes a page; the page is driven in Chromium through Voilà."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from jupyter_lab import free_port
from PIL import Image
from test_accessibility import faults

import cxrlib as cxr
from cxrlib import app
from cxrlib.cli import main
from cxrlib.data.decode import decode
from cxrlib.experiment import run
from cxrlib.widgets import CamInspector, ThresholdExplorer

LABEL = "name => document.querySelector('.cxr-cam canvas[role=img]').ariaLabel?.includes(name)"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of a small run, as `cxr train` leaves it."""
    folder = tmp_path_factory.mktemp("run")
    recipe = cxr.recipes["baseline"].replace(size=48, epochs=1, tta=("identity", "shift-left"))
    run("phantom", recipe, folder=folder, options={"n": 60}, bootstrap=20, progress=False)
    return folder


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def parts(page):
    """The inspector, the explorer and the two texts of a page."""
    head, tab = page.children
    inspector, explorer, about = tab.children
    return inspector, explorer, head.value, about.value


def test_the_page_joins_inspector_and_threshold(finished):
    inspector, explorer, head, about = parts(app.page(finished))
    assert isinstance(inspector, CamInspector) and isinstance(explorer, ThresholdExplorer)
    assert [s["name"] for s in explorer.page["sets"]] == ["validation", "test"]
    assert inspector.static_state()["page"]["decision"] == 0.5
    explorer.threshold = 0.25
    assert inspector.static_state()["page"]["decision"] == 0.25
    assert app.NO_DEVICE in head
    accuracy = json.loads((finished / "result.json").read_text())["test"]["values"]["accuracy"]
    assert f"{accuracy:.3f}" in about and "phantom" in about


def test_classes_without_a_phantom_get_examples_without_a_true_class(copied):
    classes = ("cat", "dog", "<b>fish</b>")
    cxr.save_model(cxr.build_model("cnn5", classes, size=48, seed=0), copied / "model.pt")
    one = {"labels": [0, 1, 2, 0], "probs": [[0.5, 0.3, 0.2]] * 4, "patients": [0, 1, 2, 3]}
    (copied / "predictions.json").write_text(json.dumps({"validation": one, "test": one}))
    inspector, explorer, _, about = parts(app.page(copied))
    images = inspector.static_state()["page"]["images"]
    assert len(images) == app.EXAMPLES and all(image["label"] is None for image in images)
    assert inspector.static_state()["page"]["decision"] is None
    assert type(explorer).__name__ == "ConfusionExplorer"
    assert "<b>fish" not in about


def test_what_a_run_does_not_know_is_a_dash(copied):
    record = json.loads((copied / "result.json").read_text())
    record["test"]["values"]["auc"] = None
    record["test"]["intervals"].pop("auc", None)
    record["test"]["intervals"]["accuracy"] = [None, None]
    (copied / "result.json").write_text(json.dumps(record))
    found = json.loads((copied / "predictions.json").read_text())
    found["test"]["labels"] = [0] * len(found["test"]["labels"])  # a class without images
    (copied / "predictions.json").write_text(json.dumps(found))
    *_, about = parts(app.page(copied))
    assert "AUC on its test images</th><td>–</td>" in about
    assert f"<td>{record['test']['values']['accuracy']:.3f}</td>" in about


@pytest.mark.parametrize("name", ["model.pt", "result.json", "predictions.json"])
def test_a_missing_file_is_named_with_its_remedy(copied, name):
    (copied / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name}.*cxr train"):
        cxr.Run.open(copied)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "{}",
        '{"validation": {"labels": [0], "probs": [[1, 2, 3]]}, "test": 1}',
        '{"validation": {"labels": [], "probs": []}, "test": {"labels": [], "probs": []}}',
    ],
)
def test_damaged_predictions_are_refused_with_the_folder_s_name(copied, content):
    (copied / "predictions.json").write_text(content)
    with pytest.raises(ValueError, match="do not fit together.*cxr train"):
        cxr.Run.open(copied)


def test_a_result_of_something_else_is_refused(copied):
    (copied / "result.json").write_text('{"training": {"recipe": {}}}')
    with pytest.raises(ValueError, match="do not fit together"):
        cxr.Run.open(copied)


def test_the_command_names_a_folder_that_is_no_run(tmp_path):
    answer = CliRunner().invoke(main, ["app", str(tmp_path)])
    assert answer.exit_code == 1 and "holds no model.pt" in answer.output and "Traceback" not in answer.output


def test_without_voila_the_command_says_how_to_get_it(finished, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "voila" else find(name, *a))
    answer = CliRunner().invoke(main, ["app", str(finished)])
    assert answer.exit_code == 1 and "cxrlib[app]" in answer.output


def test_a_demo_that_was_stopped_is_not_taken_for_a_finished_one(tmp_path, monkeypatch):
    from cxrlib import experiment
    from cxrlib.train import History

    monkeypatch.setattr(experiment, "load", lambda *a, **k: cxr.load("phantom", 32, n=60, progress=False))
    monkeypatch.setattr(
        experiment, "fit", lambda model, train, val, recipe, **k: History(recipe, stopped="interrupted")
    )
    with pytest.raises(KeyboardInterrupt):
        app.demo(tmp_path / "run", progress=False)
    assert not (tmp_path / "run" / "predictions.json").exists()


# -- in a browser ------------------------------------------------------------------------------------------------------


def kernels(process) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended meanwhile, or has only to be reaped
            if "ipykernel" in " ".join(child.cmdline()):
                found.append(child)
    return found


def comes_true(condition, seconds=20) -> bool:
    for _ in range(10 * seconds):
        if condition():
            return True
        time.sleep(0.1)
    return False


@pytest.fixture(scope="module")
def served(finished, tmp_path_factory):
    """`cxr app` on a port of its own, from a folder of its own: its address and its process."""
    home, port = tmp_path_factory.mktemp("home"), free_port()
    env = {
        **os.environ,
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "OMP_NUM_THREADS": "1",
        "JUPYTER_DATA_DIR": str(home / "share"),
        "JUPYTER_RUNTIME_DIR": str(home / "run"),
        "JUPYTER_PREFER_ENV_PATH": "1",
    }
    with (home / "log.txt").open("w") as log:
        command = [sys.executable, "-m", "cxrlib", "app", str(finished), f"--port={port}", "--no-browser"]
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=env, cwd=home, start_new_session=True
        )
        try:
            for _ in range(480):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/voila/static/voila.js", timeout=2)
                    break
                except urllib.error.HTTPError:
                    break
                except OSError:
                    assert process.poll() is None, (home / "log.txt").read_text()
                    time.sleep(0.25)
            yield f"http://127.0.0.1:{port}/", process
        finally:
            process.terminate()
            process.wait(20)


@pytest.mark.slow
@pytest.mark.browser
def test_the_app_in_a_browser(finished, served, chromium, tmp_path):
    served, _ = served
    own = tmp_path / "own.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (120, 90), np.uint8)).save(own)
    page = chromium.new_page(viewport={"width": 1200, "height": 1000})
    elsewhere = []
    page.on("response", lambda r: r.url.startswith(("data:", "blob:", served)) or elsewhere.append(r.url))
    try:
        page.goto(served)
        page.wait_for_selector(".cxr-cam canvas", timeout=120_000)
        assert app.NO_DEVICE in page.inner_text("body")
        assert page.locator(".cxr-cam .thumb").count() == app.EXAMPLES

        assert not faults(page, "app")

        page.locator(".cxr-cam input[type=file]").set_input_files(own)
        page.wait_for_selector(".cxr-cam .thumb:has-text('Own')", timeout=30_000)
        page.wait_for_function(LABEL, arg="Own picture 1")
        opened = cxr.Run.open(finished)
        pixels = decode(own.read_bytes(), 48)[0]
        one = cxr.CxrDataset(pixels[None, None], [0], opened.model.classes, ["own"])
        wanted = opened.predict(one, calibrated=True)[0]
        shown = [float(text.rstrip("\u00a0%")) for text in page.locator(".cxr-cam .bar .value").all_inner_texts()]
        assert np.allclose(shown, 100 * wanted, atol=0.51)

        assert "squeezed from 90 × 120 pixels to a square of 48 × 48" in page.locator(".cxr-cam .own").inner_text()

        bad = tmp_path / "bad.png"
        bad.write_text("no picture")
        page.locator(".cxr-cam input[type=file]").set_input_files(bad)
        problem = page.locator(".cxr-cam .problem")
        problem.wait_for()
        assert "bad.png: This file cannot be used: it is a text file" in problem.inner_text()
        assert not page.locator(".cxr-cam .main").is_visible(), "the answer for another picture stays"
        box = problem.bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 1000, "the reason lies outside the screen"
        page.locator(".cxr-cam .thumb:has-text('Own 1')").click()
        page.wait_for_function(LABEL, arg="Own picture 1")
        assert page.locator(".cxr-cam .main").is_visible() and not problem.is_visible()

        for threshold, said in (("0", "pneumonia"), ("1", "normal")):
            page.get_by_role("tab", name="Threshold").click()
            page.locator(".cxr-threshold input[type=range]").fill(threshold)
            page.get_by_role("tab", name="X-ray").click()
            page.wait_for_function("s => document.querySelector('.verdict b').textContent === s", arg=said)
        page.get_by_role("tab", name="Threshold").click()
        page.get_by_role("img", name="ROC curve").wait_for()
        page.get_by_role("tab", name="Model").click()
        page.get_by_text("AUC on its test images").wait_for()
        page.get_by_role("tab", name="X-ray").click()

        # dropped on it, as from a folder
        content = list(own.read_bytes())
        page.evaluate(
            """content => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(content)], "own.png", { type: "image/png" }));
            document.querySelector(".cxr-cam").dispatchEvent(
                new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
        }""",
            content,
        )
        page.wait_for_function(LABEL, arg="Own picture 2")
        page.get_by_role("button", name="Remove").click()
        page.wait_for_function("() => !document.querySelector('.cxr-cam .thumbs').innerText.includes('Own 2')")
        assert "Own 1" in page.locator(".cxr-cam .thumbs").inner_text()
    finally:
        page.close()
    assert not elsewhere


@pytest.mark.slow
@pytest.mark.browser
def test_each_open_page_has_one_kernel_and_nothing_outlives_the_app(served, chromium):
    address, process = served
    page = chromium.new_page()
    page.goto(address)
    page.wait_for_selector(".cxr-cam canvas", timeout=120_000)
    page.close()  # as a browser that crashes: the page cannot say goodbye
    assert comes_true(lambda: not kernels(process), 120), "the kernel of a page that is gone lives on"
    page = chromium.new_page()
    page.goto(address)
    for _ in range(4):
        page.wait_for_selector(".cxr-cam canvas", timeout=120_000)
        assert comes_true(lambda: len(kernels(process)) == 1), f"{len(kernels(process))} kernels for one page"
        page.reload()
    page.wait_for_selector(".cxr-cam canvas", timeout=120_000)
    started = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    assert len(started) > 1
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    _, alive = psutil.wait_procs(started, 10)
    assert not alive
    page.close()

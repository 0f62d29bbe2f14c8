"""A run as one object: what it was recorded to score is what it scores again, to the last digit."""

import json
import warnings

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import toy

import cxrlib as cxr
from cxrlib import calibration, experiment
from cxrlib.cli import main
from cxrlib.files import read_json

OPTIONS = {"n": 80}


def train(folder, recipe, **options):
    return experiment.run("phantom", recipe, folder=folder, options=OPTIONS, bootstrap=20, progress=False, **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    recipe = cxr.recipes["baseline"].replace(size=48, epochs=1, tta=("identity", "shift-left"))
    return folder, train(folder, recipe)


@pytest.mark.parametrize("name", cxr.recipes)
def test_every_recipe_is_evaluated_to_its_recorded_numbers(tmp_path, name):
    """`cxr train …; cxr evaluate RUN`, with the recipe's own normalization, test-time augmentation and precision."""
    runner, size = CliRunner(), "32"
    words = ["--data", "phantom", "-o", "n=60", "--recipe", name, "--epochs", "1", "--size", size, "--quiet"]
    done = runner.invoke(main, ["train", *words, "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    for part, recorded in (("test", record["test"]), ("val", record["validation"])):
        done = runner.invoke(
            main, ["evaluate", str(tmp_path / "run"), "--split", part, "--quiet", "--out", str(tmp_path / "again.json")]
        )
        assert done.exit_code == 0, done.output
        again = json.loads((tmp_path / "again.json").read_text())
        at_threshold = again.pop("at_validation_threshold", None)
        assert again == recorded
        if part == "test":
            assert at_threshold["values"] == record["test_at_validation_threshold"]["values"]


def test_a_run_opened_again_is_the_run_that_was_trained(finished):
    folder, run = finished
    opened = cxr.Run.open(folder)
    assert opened.recipe == run.recipe and opened.classes == run.classes
    assert opened.record == json.loads(json.dumps(run.record))
    assert opened.threshold == run.threshold and opened.temperature == run.temperature
    for now, then in ((opened.validation, run.validation), (opened.test, run.test)):
        np.testing.assert_equal((now.values, now.intervals), (then.values, then.intervals))
    data = opened.load(progress=False)
    train, val, test = opened.split(data)
    assert not set(val.patients) & set(train.patients)
    assert np.array_equal(opened.predict(test), run.test.probs)
    assert opened.evaluate(test).threshold == run.threshold
    np.testing.assert_equal(opened.evaluate(test, threshold=0.5).values, run.test.values)
    assert opened.explain(test[:2]).shape[:2] == (2, 2)


def test_probabilities_are_calibrated_on_validation_images(finished):
    folder, run = finished
    logits = calibration.logits_of(run.validation.probs)
    assert run.temperature == calibration.temperature(logits, run.validation.labels)
    data = toy(n=6, size=48)
    views = cxr.predict(run.model, data, tta=run.recipe.tta)
    assert np.array_equal(run.predict(data), views)
    assert np.allclose(run.predict(data, calibrated=True), run.calibrate(views))


def test_images_of_another_size_are_scaled_and_that_is_said(finished):
    _, run = finished
    with pytest.warns(UserWarning, match="images of 64 px were scaled to the recipe's 48 px"):
        probs = run.predict(toy(n=6, size=64))
    assert probs.shape == (6, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run.predict(toy(n=6, size=48))


def test_other_images_have_no_split_of_the_run(finished):
    _, run = finished
    with pytest.raises(ValueError, match="not the images that the run was trained on"):
        run.split(toy(size=48))


def test_a_folder_has_to_be_named_again(finished, tmp_path):
    folder, run = finished
    copy = cxr.Run.open(folder)
    copy.record["data"]["source"] = "folder:xrays"
    with pytest.raises(ValueError, match="--data folder:PATH"):
        copy.load()


def test_a_class_without_validation_images_leaves_a_run_that_opens(tmp_path):
    """Undefined is NaN inside, null in JSON: training, recording, opening and evaluating all get to their end."""
    data = toy(n=60, size=32, classes=("a", "b", "c"))
    data.table["split"] = np.where(data.labels == 2, "test", np.where(np.arange(60) < 40, "train", "test"))
    recipe = cxr.recipes["baseline"].replace(size=32, epochs=1)
    with pytest.warns(UserWarning, match="train has no image of c|val has no image of c"):
        experiment.run("toy", recipe, data=data, folder=tmp_path, bootstrap=20, progress=False)
    opened = cxr.Run.open(tmp_path)
    assert opened.threshold is None and np.isnan(opened.validation["recall[c]"])
    assert opened.record["validation"]["values"]["recall[c]"] is None
    assert opened.evaluate(data.where(split="test"))["recall[c]"] == 0


def test_images_that_lack_a_class_or_have_another_order_are_scored(finished):
    _, run = finished
    data = toy(n=12, size=48)
    a, b = data.classes
    other = cxr.CxrDataset(data.images, 1 - data.labels, (b, a), data.patients)
    np.testing.assert_equal(run.evaluate(other).values, run.evaluate(data).values)
    only = cxr.CxrDataset(data.images, np.zeros(12, int), (b,), data.patients)
    report = run.evaluate(only)
    assert np.isnan(report["auc"]) and np.isnan(report[f"recall[{a}]"]) and 0 <= report[f"recall[{b}]"] <= 1
    more = cxr.CxrDataset(data.images, data.labels, (a, "fracture"), data.patients)
    with pytest.raises(ValueError, match="images of fracture, which is none of"):
        run.evaluate(more)
    assert (run.evaluate(more[np.flatnonzero(data.labels == 0)]).labels == 0).all()
    assert only.with_classes((a, b)).fingerprint not in (only.fingerprint, data.fingerprint)


def test_json_that_could_not_be_written_again_is_refused(tmp_path):
    path = tmp_path / "record.json"
    path.write_text('{"name": "\\ud800"}')  # half of a pair: it can be read, and no file can hold it
    with pytest.raises(ValueError, match="record.json cannot be read as JSON"):
        read_json(path)

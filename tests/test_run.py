"""A run as one object: what it was recorded to score is what it scores again, to the last digit."""

import json
import warnings

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import toy
from PIL import Image

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
    data = opened.load_data(progress=False)
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
        copy.load_data()


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
    more = cxr.CxrDataset(data.images, data.labels, ("healthy", "fracture"), data.patients)
    with pytest.raises(ValueError, match="images of healthy, fracture, which is none of"):
        run.evaluate(more)
    assert only.with_classes((a, b)).fingerprint not in (only.fingerprint, data.fingerprint)


@pytest.fixture(scope="module")
def adults():
    """Three classes of another set."""
    return toy(n=36, size=48, classes=("covid-19", "normal", "tuberculosis"))


def test_a_run_of_two_classes_asks_whether_images_of_other_classes_are_normal(finished, adults):
    _, run = finished
    with pytest.warns(UserWarning, match="12 images of covid-19 count as pneumonia; 12 images of tuberculosis count"):
        report = run.evaluate(adults)
    assert report.classes == run.classes and report.threshold == run.threshold
    assert np.array_equal(report.labels, adults.labels != 1)
    with pytest.warns(UserWarning, match="covid-19 are left out; 12 images of tuberculosis count as pneumonia"):
        report = run.evaluate(adults, mapping={"covid-19": None, "tuberculosis": "pneumonia"})
    left = adults[adults.labels != 0]
    assert np.array_equal(report.labels, left.labels == 2) and np.array_equal(report.probs, run.predict(left))
    with pytest.warns(UserWarning, match="count as normal"):
        assert not run.evaluate(adults, mapping=dict.fromkeys(adults.classes, "normal")).labels.any()


def test_a_run_of_many_classes_tells_one_of_them_from_anything_else(adults):
    recipe = cxr.recipes["baseline"].replace(size=48, epochs=1)
    data = toy(n=60, size=48, classes=("normal", "bacterial", "viral"))
    run = experiment.run("toy", recipe, data=data, bootstrap=20, progress=False)
    with pytest.raises(ValueError, match="covid-19, tuberculosis, which is none of .*mapping='normal'"):
        run.evaluate(adults)
    with pytest.warns(UserWarning, match="count as"):
        report = run.evaluate(adults, mapping="normal")
    assert report.classes == ("normal", "anything else") and np.array_equal(report.labels, adults.labels != 1)
    np.testing.assert_allclose(report.probs[:, 1], run.predict(adults)[:, 1:].sum(1))
    same = run.evaluate(data)
    assert same.classes == run.classes and np.array_equal(same.labels, data.labels)


@pytest.mark.parametrize(
    ("mapping", "told"),
    [
        ({"covid": "pneumonia"}, "Did you mean 'covid-19'"),
        ({"covid-19": "pneumonai"}, "Did you mean 'pneumonia'"),
        ("tuberculosis", "give one of normal, pneumonia"),
        (["covid-19"], "give a dict"),
        (dict.fromkeys(("covid-19", "normal", "tuberculosis")), "is empty"),
    ],
)
@pytest.mark.filterwarnings("ignore:12 images")
def test_a_mapping_that_makes_no_sense_is_refused(finished, adults, mapping, told):
    with pytest.raises(ValueError, match=told):
        finished[1].evaluate(adults, mapping=mapping)


def test_the_command_scores_a_folder_of_other_classes(finished, adults, tmp_path):
    for i, (image, label) in enumerate(zip(adults.images, adults.labels, strict=True)):
        (folder := tmp_path / "adults" / adults.classes[label].upper()).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(folder / f"{i}.png")
    words = ["evaluate", str(finished[0]), "--data", f"folder:{tmp_path / 'adults'}", "--quiet"]
    done = CliRunner().invoke(main, [*words, "--map", "covid-19=", "--out", str(tmp_path / "a.json")])
    assert done.exit_code == 0 and "12 images of covid-19 are left out" in done.output, done.output
    assert "12 images of tuberculosis count as pneumonia" in done.output and "run's own test images" in done.output
    assert json.loads((tmp_path / "a.json").read_text())["images"] == 24
    for wrong, told in ((["--map", "covid-19"], "give one of"), (["--map", "a=b", "--map", "c"], "THEIRS=OWN")):
        done = CliRunner().invoke(main, words + wrong)
        assert done.exit_code and told in done.output, done.output


def test_json_that_could_not_be_written_again_is_refused(tmp_path):
    path = tmp_path / "record.json"
    path.write_text('{"name": "\\ud800"}')  # half of a pair: it can be read, and no file can hold it
    with pytest.raises(ValueError, match="record.json cannot be read as JSON"):
        read_json(path)

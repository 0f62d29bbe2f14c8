"""Findings that come together: how class names tell them, one sigmoid per finding, and a report of each."""

import itertools

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from sklearn.metrics import accuracy_score, roc_auc_score

import cxrlib as cxr
from cxrlib import ensemble, multilabel
from cxrlib.app import page
from cxrlib.cli import main
from cxrlib.live import live_network
from cxrlib.metrics import findings_report
from cxrlib.phantom import make_phantoms
from cxrlib.ranking import auc_of
from cxrlib.shortcut import accuracies, flip_rate

CLASSES = ("normal", "opacity", "fluid", "opacity+fluid")
RECIPE = cxr.Recipe(
    model="CPC", model_options={"filters": (8, 16), "multilabel": True}, size=16, epochs=12, batch_size=16, lr=0.01
)


def chests(n=128, classes=CLASSES, seed=0):
    """An opacity is a bright spot at the top, fluid a dark band at the base: findings with known answers."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) // 2 % len(classes)
    images = rng.normal(110, 12, (n, 1, 16, 16))
    for image, k in zip(images, labels, strict=True):
        image[0, 2:7, 4:10] += 80 * ("opacity" in classes[k])
        image[0, 12:] -= 80 * ("fluid" in classes[k])
    patients = [f"p{i // 2}" for i in range(n)]
    return cxr.CxrDataset(images.clip(0, 255).astype(np.uint8), labels, classes, patients, name="chests")


@pytest.fixture(scope="module")
def trained():
    model = cxr.build(RECIPE, CLASSES)
    history = cxr.fit(model, chests(), chests(seed=1), RECIPE, progress=False)
    return model, history


def test_class_names_tell_the_findings():
    assert multilabel.findings(CLASSES) == ("opacity", "fluid")
    assert multilabel.findings(("normal", "a+b", "c")) == ("a", "b", "c")
    assert multilabel.label_matrix(CLASSES, ("fluid", "opacity")).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


@pytest.mark.parametrize("name", ["a+", "+", "a+a", "a+normal", ""])
def test_an_odd_class_name_is_refused(name):
    with pytest.raises(ValueError, match=r'write findings as "a\+b"'):
        multilabel.findings(("normal", "b", name))


def test_two_independent_findings_are_told_one_by_one(trained):
    model, history = trained
    assert model.classes == ("opacity", "fluid") and model.multilabel
    test = chests(seed=2)
    probs = cxr.predict(model, test)
    held = multilabel.label_matrix(CLASSES, model.classes)[test.labels]
    assert ((probs > 0.5) == held).mean() > 0.97
    assert probs[test.labels == 3].min(1).mean() > 0.8  # both: two high probabilities; a softmax cannot give that
    assert history.epochs[-1]["val_accuracy"] > 0.95 and history.epochs[-1]["val_auc"] > 0.99


def test_softmax_and_sigmoid_differ_where_both_findings_are_there():
    one_each = chests(classes=CLASSES[:3])
    recipe = RECIPE.replace(model_options={"filters": (8, 16)})
    model = cxr.build(recipe, CLASSES[:3])
    cxr.fit(model, one_each, None, recipe, progress=False)
    both = chests()[chests().labels == 3]
    probs = cxr.predict(model, both)
    assert np.allclose(probs.sum(1), 1) and (probs[:, 1:] > 0.5).sum(1).max() <= 1  # one of the two is not named


def test_outputs_are_the_sigmoid_of_the_logits_and_else_the_softmax(trained):
    data, images = chests(8), torch.from_numpy(chests(8).images).float() / 255
    other = cxr.build_model("CPC", CLASSES, size=16, seed=0)
    with torch.no_grad():
        assert np.array_equal(cxr.predict(trained[0], data), trained[0](images).double().sigmoid().numpy())
        assert np.array_equal(cxr.predict(other, data), other(images).double().softmax(1).numpy())


@pytest.mark.filterwarnings("ignore:.*class of its own")
def test_the_first_loss_is_the_one_that_is_told():
    """One step over all images: the loss of the first weights, with smoothed targets."""
    data = chests(32)
    for several, smoothing in itertools.product((True, False), (0.0, 0.2)):
        recipe = cxr.Recipe(
            model="CPC", model_options={"filters": (8,), "multilabel": several}, size=16, epochs=1, batch_size=32,
            label_smoothing=smoothing, precision="fp32",
        )  # fmt: skip
        model = cxr.build(recipe, CLASSES)
        probs = cxr.predict(model, data)
        if several:
            y = multilabel.label_matrix(CLASSES, model.classes)[data.labels] * (1 - smoothing) + smoothing / 2
            told = -(y * np.log(probs) + (1 - y) * np.log(1 - probs)).mean()
        else:
            y = np.eye(4)[data.labels] * (1 - smoothing) + smoothing / 4
            told = -(y * np.log(probs)).sum(1).mean()
        history = cxr.fit(model, data, None, recipe, progress=False)
        assert history.epochs[0]["loss"] == pytest.approx(told, rel=1e-5)


def test_the_report_agrees_with_scikit_learn_and_with_a_report_of_two_classes():
    rng = np.random.default_rng(0)
    labels, patients = rng.integers(0, 2, (90, 3)), np.arange(90) // 3
    probs = np.clip(labels * 0.3 + rng.random((90, 3)) * 0.7, 0, 1)
    report = findings_report(labels, probs, ("a", "b", "c"), patients, bootstrap=200, seed=3)
    for k, name in enumerate("abc"):
        pair = np.c_[1 - probs[:, k], probs[:, k]]
        alone = cxr.Report(labels[:, k], pair, ("no", "yes"), patients, bootstrap=200, seed=3)
        assert report[f"auc[{name}]"] == pytest.approx(roc_auc_score(labels[:, k], probs[:, k]))
        assert report.interval(f"auc[{name}]") == alone.interval("auc")
        assert report.interval(f"specificity[{name}]") == alone.interval("recall[no]")
    assert report["auc"] == pytest.approx(roc_auc_score(labels, probs, average="macro"))
    assert report["accuracy"] == pytest.approx(accuracy_score(labels, probs >= 0.5))
    low, high = report.intervals["auc"]
    assert low < report["auc"] < high and report.intervals["accuracy"][0] < report["accuracy"]
    assert auc_of(labels, probs) == pytest.approx(report["auc"])


def test_thresholds_are_those_of_each_finding():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, (80, 2))
    probs = np.clip(labels * [0.4, 0.2] + rng.random((80, 2)) * 0.5, 0, 1)
    report = findings_report(labels, probs, ("a", "b"), None, {"b": 0.3})
    assert report.threshold == {"a": 0.5, "b": 0.3}
    chosen = report.at(report.best_threshold(), "chosen")
    assert chosen.threshold == {n: cxr.best_threshold(labels[:, k], probs[:, k]) for k, n in enumerate("ab")}
    assert chosen["auc"] == report["auc"] and chosen.of["a"].threshold_source == "chosen"
    assert (chosen.predicted == (probs >= list(chosen.threshold.values()))).all()
    with pytest.raises(ValueError, match="threshold: give one of a, b"):
        findings_report(labels, probs, ("a", "b"), None, {"c": 0.3})
    with pytest.raises(ValueError, match="threshold: give one of a, b"):
        report.at({"c": 0.3})


def test_a_finding_that_no_image_has_is_undefined_and_not_zero():
    labels, probs = np.array([[0, 1], [0, 0], [0, 1]]), np.full((3, 2), 0.2)
    report = findings_report(labels, probs, ("rare", "common"), bootstrap=20)
    assert np.isnan(report["auc[rare]"]) and np.isnan(report["auc"]) and "rare" not in report.best_threshold()
    assert report.to_dict()["values"]["auc[rare]"] is None and "–" in str(report) and "–" in report._repr_html_()


@pytest.mark.parametrize(
    ("labels", "probs", "match"),
    [
        ([[0, 2]], [[0.1, 0.2]], "labels"),
        ([0, 1], [[0.1, 0.2], [0.1, 0.2]], "labels"),
        ([[0, 1]], [[0.1, 1.2]], "probs: give probabilities, each from 0 to 1; these .* sigmoid"),
        ([[0, 1]], [[0.1, np.nan]], "NaN"),
        (np.zeros((0, 2), int), np.zeros((0, 2)), "at least one image"),
    ],
)
def test_bad_arrays_are_refused(labels, probs, match):
    with pytest.raises(ValueError, match=match):
        findings_report(labels, probs, ("a", "b"))


def test_maps_are_those_of_each_finding(trained):
    model, _ = trained
    both = chests(seed=2)[chests(seed=2).labels == 3]
    maps = cxr.explain(model, both)
    assert maps.shape[:2] == (len(both), 2)
    assert np.allclose(maps[:, 1], cxr.explain(model, both, target="fluid"))
    rows = maps.mean(0).sum(2) / maps.mean(0).sum((1, 2))[:, None]  # where each map lies, from top to bottom
    assert rows[0] @ np.arange(rows.shape[1]) < rows[1] @ np.arange(rows.shape[1])


def test_what_asks_for_classes_that_exclude_each_other_refuses_findings(trained, tmp_path):
    model, _ = trained
    data, run = chests(), cxr.Run(model, RECIPE, {}, None, None)
    same_names = chests(classes=("opacity", "fluid"))
    for ask in (
        lambda: live_network(model),
        lambda: cxr.CamInspector(model, same_names, progress=False),
        lambda: flip_rate(model, data, data),
        lambda: accuracies(model, {"all": data}),
        lambda: run.temperature,
        lambda: run.calibrate(np.full((2, 2), 0.5)),
        lambda: cxr.fit(model, data, None, RECIPE, class_weights="balanced", progress=False),
        lambda: cxr.fit(model, data, None, RECIPE, attend="lungs", progress=False),
    ):
        with pytest.raises(ValueError, match="mutually exclusive|multi-label"):
            ask()
    with pytest.raises(ValueError, match="mass is none of the findings"):
        cxr.evaluate(model, chests(classes=("normal", "mass", "fluid", "mass+fluid")))
    with pytest.raises(ValueError, match="or findings"):
        ensemble.average([np.full((2, 2), 0.9)])
    assert (ensemble.average([np.full((2, 2), 0.9), np.full((2, 2), 0.7)], multilabel=True) == 0.8).all()


def test_a_softmax_of_joined_classes_is_said():
    model = cxr.build_model("CPC", CLASSES, size=16)
    with pytest.warns(UserWarning, match=r"opacity\+fluid is learned as a class of its own.*multilabel"):
        cxr.fit(model, chests(16), None, RECIPE, epochs=1, progress=False)


def test_a_network_of_findings_is_saved_and_is_no_other(trained, tmp_path):
    path = cxr.save_model(trained[0], tmp_path / "m.pt")
    assert np.array_equal(cxr.predict(cxr.load_model(path), chests(8)), cxr.predict(trained[0], chests(8)))
    exclusive = cxr.build_model("CPC", ("opacity", "fluid"), size=16, filters=(8, 16))
    assert "multilabel" not in exclusive.config  # files of before stay as they are
    with pytest.raises(ValueError, match="multilabel: give True or False"):
        cxr.build_model("CPC", CLASSES, size=16, multilabel="yes")


def test_phantoms_have_both_findings():
    kinds = ("normal", "consolidation", "effusion", "consolidation+effusion")
    made = make_phantoms(160, 48, kinds, seed=1, progress=False, workers=1)
    area = [made.masks[made.labels == k].mean() for k in range(4)]
    assert area[0] == 0 and area[3] > max(area[1:3])
    assert len({name.split("-")[0] for name in made.patients}) == 4  # nobody is of two classes
    low = [np.nonzero(made.masks[made.labels == k].any(0))[0].mean() for k in (1, 2)]
    assert low[1] > low[0]  # fluid lies at the base


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """What `cxr train` makes of a folder in which some patients have both findings."""
    place = tmp_path_factory.mktemp("findings")
    data = chests(96)
    for i, (image, k) in enumerate(zip(data.images[:, 0], data.labels, strict=True)):
        file = place / "xrays" / CLASSES[k] / f"{data.patients[i]}_{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    words = ["train", "--data", f"folder:{place / 'xrays'}", "--model", "CPC", "--size", "16", "--epochs", "10"]
    words += ["--lr", "0.01", "--batch-size", "16", "--multilabel", "-o", r"patient=(p\d+)_", "--quiet"]
    done = CliRunner().invoke(main, [*words, "--out", str(place / "run")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return place


def test_a_run_of_findings_is_trained_recorded_and_read_again(run_folder):
    run = cxr.Run.open(run_folder / "run")
    assert run.classes == tuple(run.threshold) == ("fluid", "opacity")
    assert run.record["command"].endswith("--multilabel") and run.test["auc"] > 0.95
    data = run.load_data(f"folder:{run_folder / 'xrays'}")
    again = run.evaluate(run.split(data)[2])
    assert again.threshold == run.threshold
    assert again["auc"] == run.test["auc"] == pytest.approx(run.record["test"]["values"]["auc"], abs=1e-6)
    found = again.to_dict()["values"]
    assert run.record["test_at_validation_threshold"]["values"] == found
    with pytest.raises(ValueError, match="mutually exclusive"):
        page(run_folder / "run")


def test_findings_of_another_folder_are_scored(run_folder, tmp_path):
    out = tmp_path / "report.json"
    words = ["evaluate", str(run_folder / "run"), "--data", f"folder:{run_folder / 'xrays'}", "--split", "all"]
    done = CliRunner().invoke(
        main, [*words, "--threshold", "0.4", "--out", str(out), "--quiet"], catch_exceptions=False
    )
    assert done.exit_code == 0 and "auc[fluid]" in done.output and "fluid, threshold 0.400" in done.output
    done = CliRunner().invoke(main, [*words, "--map", "opacity=fluid"])
    assert done.exit_code and "mapping: not for a multi-label network" in done.output


@pytest.mark.slow
def test_a_run_of_findings_is_exported_with_its_sigmoids(run_folder, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from cxrlib.export import export_onnx

    run = cxr.Run.open(run_folder / "run")
    export_onnx(run, tmp_path / "run.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "run.onnx"))
    image = chests(8).images.astype(np.float32) / 255
    logits, probs = session.run(["logits", "probabilities"], {"image": image})
    assert np.allclose(probs, 1 / (1 + np.exp(-logits)), atol=1e-6)
    facts = session.get_modelmeta().custom_metadata_map
    assert facts["multilabel"] == "true" and facts["temperature"] == "null" and "fluid" in facts["threshold"]

"""The report against scikit-learn, known answers and its promises about intervals and thresholds."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

import cxrlib as cxr
from cxrlib import Report, best_threshold
from cxrlib._predict import computing
from cxrlib.ranking import auc_of, weighted_auc, weighted_average_precision


def predictions(n=200, k=2, seed=0, skill=1.5):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    logits = rng.normal(size=(n, k))
    logits[np.arange(n), labels] += skill
    probs = np.exp(logits)
    return labels, probs / probs.sum(1, keepdims=True)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_values_agree_with_scikit_learn(k):
    labels, probs = predictions(k=k)
    report = Report(labels, probs, tuple("abcde"[:k]), bootstrap=0)
    called = probs.argmax(1)
    assert report["accuracy"] == pytest.approx(sk.accuracy_score(labels, called))
    assert report["macro_recall"] == pytest.approx(sk.balanced_accuracy_score(labels, called))
    assert report["macro_f1"] == pytest.approx(sk.f1_score(labels, called, average="macro"))
    assert report["recall[b]"] == pytest.approx(sk.recall_score(labels, called, average=None)[1])
    expected = (
        sk.roc_auc_score(labels, probs[:, 1])
        if k == 2
        else sk.roc_auc_score(labels, probs, multi_class="ovr", average="macro")
    )
    assert report["auc"] == pytest.approx(expected)
    assert (report.confusion == sk.confusion_matrix(labels, called)).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 4)), min_size=2, max_size=40))
def test_weighted_auc_agrees_with_scikit_learn_also_with_ties(rows):
    labels, scores, weights = (np.array(column, float) for column in zip(*rows, strict=True))
    seen = set(labels[weights > 0])
    mine = weighted_auc(labels == 1, scores, weights[None])[0]
    if seen == {0.0, 1.0}:
        assert mine == pytest.approx(sk.roc_auc_score(labels, scores, sample_weight=weights))
    else:
        assert np.isnan(mine)


def test_known_answer_by_hand():
    # 4 normal, 2 pneumonia; one normal called pneumonia, one pneumonia missed.
    labels = np.array([0, 0, 0, 0, 1, 1])
    p = np.array([0.1, 0.2, 0.3, 0.7, 0.4, 0.9])
    report = Report(labels, np.c_[1 - p, p], ("normal", "pneumonia"), bootstrap=0)
    assert report.confusion.tolist() == [[3, 1], [1, 1]]
    assert report["accuracy"] == pytest.approx(4 / 6)
    assert report["precision[pneumonia]"] == report["recall[pneumonia]"] == report["f1[pneumonia]"] == 0.5
    assert report["auc"] == pytest.approx(7 / 8)  # 8 pairs, one in the wrong order
    assert report.mistakes["row"].tolist() == [3, 4]  # the more confident mistake first


def test_expected_calibration_error_of_a_calibrated_and_an_overconfident_model():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 1, 20_000)
    right = rng.uniform(size=len(p)) < p
    honest = Report(np.where(right, 1, 0), np.c_[1 - p, p], ("a", "b"), bootstrap=0)
    assert honest["ece"] < 0.02
    boast = np.full(len(p), 0.99)
    assert Report(np.where(right, 1, 0), np.c_[1 - boast, boast], ("a", "b"), bootstrap=0)["ece"] == pytest.approx(
        0.99 - right.mean(), abs=1e-6
    )


def test_intervals_cover_the_value_and_depend_only_on_the_seed():
    labels, probs = predictions(300)
    report = Report(labels, probs, ("a", "b"), bootstrap=300)
    for name in ("accuracy", "auc", "macro_f1", "recall[a]"):
        value, low, high = report.interval(name)
        assert low < value < high
    again = Report(labels, probs, ("a", "b"), bootstrap=300)
    assert report.intervals == again.intervals
    assert report.intervals != Report(labels, probs, ("a", "b"), bootstrap=300, seed=1).intervals


def test_intervals_are_wider_when_the_images_of_a_patient_repeat_each_other():
    labels, probs = predictions(100)
    labels, probs = np.repeat(labels, 6), np.repeat(probs, 6, axis=0)
    width = {}
    for name, patients in (("image", None), ("patient", np.repeat(np.arange(100), 6))):
        low, high = Report(labels, probs, ("a", "b"), patients, bootstrap=400).intervals["accuracy"]
        width[name] = high - low
    # six copies of every image hold no new information: the honest interval is about sqrt(6) times as wide
    assert width["patient"] / width["image"] == pytest.approx(np.sqrt(6), rel=0.2)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    hits = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        right = rng.uniform(size=150) < 0.8
        p = np.where(right, 0.9, 0.1)
        report = Report(np.ones(150, int), np.c_[1 - p, p], ("a", "b"), bootstrap=300, seed=seed)
        low, high = report.intervals["accuracy"]
        hits += low <= 0.8 <= high
    assert 0.87 <= hits / 120 <= 1.0


def test_best_threshold_is_the_best_of_all():
    labels, probs = predictions(150, seed=3)
    cut = best_threshold(labels, probs[:, 1])
    scores = [sk.balanced_accuracy_score(labels, probs[:, 1] >= t) for t in np.linspace(0, 1, 2001)]
    assert sk.balanced_accuracy_score(labels, probs[:, 1] >= cut) >= max(scores) - 1e-9


def test_best_threshold_lies_between_the_classes():
    assert best_threshold([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.8]) == pytest.approx(0.4)


def test_another_threshold_trades_recall_for_precision():
    labels, probs = predictions(400)
    report = Report(labels, probs, ("normal", "pneumonia"), bootstrap=0)
    careful = report.at(0.1)
    assert careful["recall[pneumonia]"] > report["recall[pneumonia]"]
    assert careful["recall[normal]"] < report["recall[normal]"]
    assert careful["auc"] == report["auc"]


def test_auc_of_labels_from_a_diverged_model_is_nan():
    assert np.isnan(auc_of([0, 1], [[np.nan, np.nan], [0.5, 0.5]]))


def test_saved_json_holds_no_patient_and_no_file(tmp_path):
    labels, probs = predictions(50)
    patients = np.array([f"secret-{i // 2}" for i in range(50)])
    path = Report(labels, probs, ("a", "b"), patients, bootstrap=50).save(tmp_path / "deep" / "report.json")
    text = path.read_text()
    assert "secret" not in text
    saved = json.loads(text)
    assert saved["patients"] == 25 and saved["images"] == 50
    assert list(tmp_path.glob("**/*.tmp")) == []


def test_it_shows_itself_with_an_alternative_text():
    labels, probs = predictions(50)
    report = Report(labels, probs, ("normal", "<b>bad</b>"), bootstrap=50)
    page = report._repr_html_()
    assert '<img class="cxr-figure" alt="Four panels' in page
    assert "<b>bad</b>" not in page.replace("&lt;b&gt;bad&lt;/b&gt;", "")
    assert f"{report['auc']:.3f}" in page and "50 images" in str(report)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"probs": np.ones((4, 3)) / 3}, "shape"),
        ({"probs": np.array([[2.0, -1.0]] * 4)}, "softmax"),
        ({"probs": np.full((4, 2), np.nan)}, "diverged"),
        ({"labels": [0, 1, 2, 0]}, "0..1"),
        ({"labels": [], "probs": np.empty((0, 2))}, "at least one image"),
        ({"patients": ["a"]}, "patients"),
        ({"patients": [[1], 2, 3, 4]}, "patients"),
        ({"patients": [None, {}, 1, 2]}, "patients"),
        ({"labels": 3}, "labels: give whole numbers"),
        ({"labels": ["a", "b", "a", "b"]}, "labels: give whole numbers"),
        ({"labels": [[0], [1, 2], 0, 1]}, "labels: give whole numbers"),
        ({"labels": [0.5, 1, 0, 1]}, "labels: give whole numbers"),
        ({"probs": [[0.5, 0.5], [1], None, 2]}, "probs: give numbers"),
        ({"probs": {}}, "probs: give numbers"),
        ({"classes": None}, "classes: give a list"),
        ({"classes": ("a", "a")}, "different names"),
        ({"threshold": "0.5"}, "threshold: give a number"),
        ({"threshold": float("nan")}, "threshold: give a number"),
        ({"threshold": 10**400}, "threshold: give a number"),
        ({"bootstrap": 1.5}, "bootstrap: give a whole number"),
        ({"bootstrap": 10**12}, "bootstrap: give a whole number from 0 to 1,000,000"),
        ({"seed": -1}, "seed: give a whole number"),
    ],
)
def test_bad_input_is_named(change, message):
    good = {"labels": [0, 1, 0, 1], "probs": np.full((4, 2), 0.5), "classes": ("a", "b")}
    with pytest.raises(ValueError, match=message):
        Report(**(good | change))


def test_a_threshold_needs_two_classes_and_both_of_them():
    labels, probs = predictions(30, k=3)
    with pytest.raises(ValueError, match="two classes"):
        Report(labels, probs, ("a", "b", "c")).at(0.5)
    with pytest.raises(ValueError, match="both classes"):
        best_threshold([1, 1], [0.2, 0.4])
    with pytest.raises(KeyError, match="it has accuracy"):
        Report(labels, probs, ("a", "b", "c"), bootstrap=0)["acuracy"]


# ---- what is undefined


@pytest.fixture
def without_c():
    """Three classes; no image of c, which is predicted all the same."""
    labels, probs = predictions(60, k=3)
    labels[labels == 2] = 0
    return Report(labels, probs, ("a", "b", "c"), bootstrap=60)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_a_class_without_images_is_left_out_of_the_means_as_in_scikit_learn(without_c):
    r = without_c
    assert all(np.isnan(r[f"{kind}[c]"]) for kind in ("recall", "precision", "f1"))
    assert r["macro_recall"] == pytest.approx(sk.balanced_accuracy_score(r.labels, r.predicted))
    assert r["macro_f1"] == pytest.approx(sk.f1_score(r.labels, r.predicted, average="macro", labels=[0, 1]))
    assert "recall[c]" not in r.intervals and r.intervals["macro_recall"][0] < r["macro_recall"]


def test_what_is_undefined_is_null_in_json_and_a_dash_for_people(without_c, tmp_path):
    saved = json.loads(without_c.save(tmp_path / "report.json").read_text())
    assert saved["values"]["recall[c]"] is saved["values"]["auc"] is saved["values"]["average_precision"] is None
    page = without_c._repr_html_()
    assert "no image of c" in page and "no image of c" in str(without_c)
    assert "recall[c] –" in str(without_c) and "nan" not in str(without_c)
    assert "<td>–</td>" in page and "nan" not in page.split("base64")[0] + page.split('">')[-1]
    assert "area undefined" in without_c.plot().alt


@pytest.mark.parametrize("only", [0, 1])
def test_of_two_classes_one_alone_has_no_areas_and_half_an_operating_point(only):
    p = np.linspace(0.1, 0.9, 9)
    report = Report(np.full(9, only), np.c_[1 - p, p], ("a", "b"), bootstrap=30)
    assert np.isnan(report["auc"]) and not {"auc", "precision[a]" if only else "precision[b]"} & report.intervals.keys()
    assert np.isnan(report.operating_point()).tolist() == [bool(only), not only]
    assert report.plot().to_png().startswith(b"\x89PNG")


def test_the_precision_of_a_class_that_is_never_predicted_is_undefined_its_f1_is_zero():
    report = Report([0, 0, 1], [[0.9, 0.1]] * 3, ("a", "b"), bootstrap=0)
    assert np.isnan(report["precision[b]"]) and np.isnan(report["macro_precision"])
    assert report["f1[b]"] == report["recall[b]"] == 0
    assert "b never predicted (precision undefined)" in str(report)


def test_average_precision_and_calibration_error_have_intervals():
    for k in (2, 3):
        labels, probs = predictions(300, k=k)
        report = Report(labels, probs, ("a", "b", "c")[:k], np.arange(300) // 2, bootstrap=300)
        for name in ("average_precision", "ece"):
            value, low, high = report.interval(name)
            assert 0 <= low < value < high <= 1, name


def test_the_interval_of_the_calibration_error_covers_the_value_of_a_calibrated_model():
    # Resampling adds chance, so plain percentiles of a small calibration error lie above the error itself.
    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 1, 300)
    report = Report((rng.uniform(size=300) < p).astype(int), np.c_[1 - p, p], ("a", "b"), bootstrap=400)
    value, low, high = report.interval("ece")
    assert low < value < high < 2.5 * value


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 4)), min_size=2, max_size=40))
def test_weighted_average_precision_agrees_with_scikit_learn(rows):
    labels, scores, weights = (np.array(column, float) for column in zip(*rows, strict=True))
    mine = weighted_average_precision(labels == 1, scores, weights[None])[0]
    if (labels * weights).any():
        assert mine == pytest.approx(sk.average_precision_score(labels, scores, sample_weight=weights))
    else:
        assert np.isnan(mine)


@pytest.mark.parametrize("case", ["two", "three", "missing"])
def test_a_saved_report_is_read_back_as_it_was(case, tmp_path, without_c):
    labels, probs = predictions(40, k=2 + (case == "three"))
    made = Report(
        labels, probs, ("a", "b", "c")[: 2 + (case == "three")], [f"p{i // 3}" for i in range(40)], bootstrap=50
    )
    made = without_c if case == "missing" else made.at(1 / 3) if case == "two" else made
    read = Report.load(made.save(tmp_path / "report.json"))
    assert read.to_dict() == made.to_dict() and str(read) == str(made)
    np.testing.assert_equal(read.values, made.values)
    np.testing.assert_equal(read.intervals, made.intervals)


@pytest.mark.parametrize("text", ["{}", "[]", "nothing", '{"classes": ["a"], "threshold_source": "", "bootstrap": 0}'])
def test_another_file_is_no_report(text, tmp_path):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="other.json"):
        Report.load(path)


@pytest.mark.parametrize("patients", [[1.0, np.nan, np.nan, 2], ["a", None, None, "b"], ["a", np.nan, "b", "c"]])
def test_unknown_patients_are_refused_not_thrown_together(patients):
    with pytest.raises(ValueError, match="patients.*key of its own"):
        Report([0, 1, 0, 1], np.full((4, 2), 0.5), ("a", "b"), patients)


# ---- evaluate: thresholds, classes, precision


@pytest.fixture(scope="module")
def model():
    return cxr.build_model("CPCP", ("normal", "pneumonia"), size=16, seed=0, filters=(4, 8))


def test_a_threshold_is_a_number_of_any_kind_or_a_data_set(model, toy_data):
    data = toy_data(24)
    for number in (0.3, np.float32(0.3), np.float64(0.3), 0, np.int64(1)):
        assert cxr.evaluate(model, data, threshold=number, bootstrap=0).threshold == pytest.approx(float(number))
    for wrong in (True, "0.3", np.nan, [0.3], np.True_):
        with pytest.raises(ValueError, match="threshold"):
            cxr.evaluate(model, data, threshold=wrong)


@pytest.mark.parametrize("name", ["data", "threshold"])
def test_classes_in_another_order_are_refused(model, toy_data, name):
    data = toy_data(24)
    turned = cxr.CxrDataset(data.images, 1 - data.labels, data.classes[::-1], data.patients)
    with pytest.raises(ValueError, match=f"{name}: its classes.*in this order"):
        cxr.evaluate(model, **{"data": data, "threshold": data} | {name: turned})


def test_scores_do_not_depend_on_what_the_machine_is_fast_at(model, toy_data, monkeypatch):
    data = toy_data(24)
    plain = cxr.evaluate(model, data, bootstrap=0)
    monkeypatch.setattr("cxrlib.device.fast_bf16", lambda device: True)
    fast = cxr.evaluate(model, data, bootstrap=0)
    assert plain.precision == fast.precision == fast.to_dict()["precision"] == "fp32"
    assert np.array_equal(plain.probs, fast.probs)
    assert cxr.evaluate(model, data, bootstrap=0, precision="auto").precision == "bf16"
    with pytest.raises(ValueError, match="precision: give one of"):
        cxr.predict(model, data, precision="int8")


def test_images_of_another_scale_are_refused(model, toy_data):
    data = toy_data(8)
    expected = cxr.predict(model, data)
    assert np.allclose(cxr.predict(model, data.images.astype(np.float32) / 255), expected, atol=1e-6)
    assert np.array_equal(cxr.predict(model, data.images[:, 0]), expected)
    swapped = (data.images / np.float32(255)).astype(">f4")
    assert np.allclose(cxr.predict(model, swapped), expected, atol=1e-6)
    with pytest.raises(ValueError, match="images: give uint8 .*got NaN among them"):
        cxr.predict(model, np.where(data.images == data.images.max(), np.nan, data.images / 255))
    for wrong in (data.images.astype(float), data.images.astype(float) / 100 - 1):
        with pytest.raises(ValueError, match="images: give uint8 .0 to 255. or float .0 to 1. values.*divide by 255"):
            cxr.predict(model, wrong)
    with pytest.raises(ValueError, match="images: give uint8 .*got object"):
        cxr.predict(model, data.images.astype(object))


@pytest.mark.filterwarnings("ignore:User provided device_type")
def test_float32_is_full_float32_on_a_gpu_too():
    import torch

    before = torch.backends.cudnn.allow_tf32
    with computing("fp32", torch.device("cuda")):
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32 == before

"""The report against scikit-learn, known answers and its promises about intervals and thresholds."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from cxrlib import Report, best_threshold
from cxrlib.metrics import auc_of, weighted_auc


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


def test_a_class_without_images_is_undefined_not_zero():
    labels, probs = predictions(60, k=3)
    labels[labels == 2] = 0
    report = Report(labels, probs, ("a", "b", "c"), bootstrap=20)
    assert np.isnan(report["auc"]) and "auc" not in report.intervals
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["values"]["auc"] is None


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
        ({"labels": [], "probs": np.empty((0, 2))}, "empty"),
        ({"patients": ["a"]}, "patients"),
        ({"patients": [[1], 2, 3, 4]}, "patients"),
        ({"patients": [None, {}, 1, 2]}, "patients"),
        ({"labels": 3}, "labels must be numbers in an array"),
        ({"labels": ["a", "b", "a", "b"]}, "labels must be numbers"),
        ({"labels": [[0], [1, 2], 0, 1]}, "labels must be numbers"),
        ({"labels": [0.5, 1, 0, 1]}, "labels must be a list of whole numbers"),
        ({"probs": [[0.5, 0.5], [1], None, 2]}, "probs must be numbers"),
        ({"probs": {}}, "probs must be numbers"),
        ({"classes": None}, "classes must be a list"),
        ({"classes": ("a", "a")}, "different names"),
        ({"threshold": "0.5"}, "threshold must be a number"),
        ({"threshold": float("nan")}, "threshold must be a number"),
        ({"bootstrap": 1.5}, "bootstrap must be a whole number"),
        ({"bootstrap": 10**12}, "at most 1,000,000"),
        ({"seed": -1}, "seed must be a whole number"),
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

"""benchmarks/ladder.py: three networks together, and networks under stress, rung by rung."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import toy

from cxrlib.metrics import Report

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))  # as where a script of it is run
import ladder

KINDS = {"shading", "blur", "gamma", "framing", "the test's tone"}


def a_run(seed, quality, shift=0.0, n=120):
    """A run with made-up predictions: ``quality`` separates the classes, ``shift`` moves all towards the ill."""
    rng = np.random.default_rng(seed)

    def report(labels):
        score = quality * (2 * labels - 1) + shift + rng.normal(0, 1, len(labels))
        ill = 1 / (1 + np.exp(-score))
        return Report(labels, np.stack([1 - ill, ill], 1), ("normal", "pneumonia"), np.arange(len(labels)) // 2)

    record = {"training": {"epochs": [{"cpu_seconds": 30.0}, {"cpu_seconds": 60.0}]}}
    labels = np.arange(n) % 2
    return SimpleNamespace(
        recipe=SimpleNamespace(seed=seed), record=record, classes=("normal", "pneumonia"),
        validation=report(labels), test=report(labels),
    )  # fmt: skip


def test_three_together_are_scored_on_the_mean_of_their_probabilities():
    runs = [a_run(seed, 1.0) for seed in range(3)]
    row = ladder.scored(runs)
    mean = sum(run.test.probs for run in runs) / 3
    assert row["at_half"]["values"]["accuracy"] == pytest.approx((mean.argmax(1) == runs[0].test.labels).mean())
    assert row["seeds"] == [0, 1, 2] and row["cpu_seconds"] == 270


def test_the_threshold_is_that_of_all_validation_predictions_together():
    runs = [a_run(seed, 1.0, shift=2.0) for seed in range(3)]
    row = ladder.scored(runs)
    assert row["at_half"]["threshold"] == 0.5 < row["at_validation_threshold"]["threshold"]
    assert row["at_validation_threshold"]["values"]["accuracy"] > row["at_half"]["values"]["accuracy"] + 0.1
    assert row["at_validation_threshold"]["values"]["auc"] == row["at_half"]["values"]["auc"]


def test_a_difference_is_that_of_the_mean_scores_with_its_interval():
    good, bad = ([[a_run(seed, quality)] for seed in range(2)] for quality in (2.0, 0.3))
    found = ladder.differences(good, bad)["at_half"]
    for score in ("accuracy", "auc"):
        means = [np.mean([ladder.scored(runs)["at_half"]["values"][score] for runs in side]) for side in (good, bad)]
        low, high = found[score]["interval"]
        assert found[score]["difference"] == pytest.approx(means[0] - means[1]) and 0 < low < high
    same = ladder.differences(good, good)["at_half"]["auc"]
    assert same["difference"] == 0 and same["interval"] == [0, 0]


def test_runs_of_other_test_images_are_refused():
    with pytest.raises(SystemExit, match="the same images"):
        ladder.scored([a_run(0, 1.0), a_run(1, 1.0, n=100)])


def test_every_stress_changes_the_images_and_is_repeatable():
    images = toy(12, size=32).images
    test = (images // 2).astype(np.uint8)
    made, again = ladder.stresses(images, test), ladder.stresses(images, test)
    assert set(made) == KINDS
    for name, hard in made.items():
        assert hard.dtype == np.uint8 and hard.shape == images.shape, name
        assert np.array_equal(hard, again[name]) and np.abs(hard.astype(int) - images).mean() > 1, name


def test_the_tone_curve_gives_images_the_histogram_of_others():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 200, (20, 1, 16, 16), dtype=np.uint8)
    others = (255 - rng.integers(0, 100, (20, 1, 16, 16))).astype(np.uint8)
    moved = ladder.tone_curve(images, others)[images]
    for q in (5, 25, 50, 75, 95):
        assert np.percentile(moved, q) == pytest.approx(np.percentile(others, q), abs=2)


def test_another_framing_keeps_at_least_three_quarters_of_a_side():
    ramp = torch.arange(64.0).expand(8, 1, 64, 64)
    seen = ladder.framed(ramp)
    width = seen[:, 0, 0, -1] - seen[:, 0, 0, 0]
    assert ((width > 0.7 * 63) & (width < 0.97 * 63)).all() and len(set(width.tolist())) == 8


def test_what_lies_outside_of_the_lungs_is_blank():
    data = toy(4, size=50)
    lungs = np.zeros((4, 50, 50), bool)
    lungs[:3, 20:30, 20:30] = True
    data = type(data)(data.images, data.labels, data.classes, data.patients, lungs=lungs)
    blank = ladder.blank_outside(data).images[:, 0]
    near = np.zeros((50, 50), bool)
    near[18:32, 18:32] = True  # 4 % of 50 is 2 pixels
    for k in range(3):
        assert np.array_equal(blank[k][near], data.images[k, 0][near]) and len(np.unique(blank[k][~near])) == 1
    assert np.array_equal(blank[3], data.images[3, 0]), "an image without lungs stays"


def test_three_classes_become_two_with_equal_frequencies():
    probs = np.array([[1 / 3, 1 / 3, 1 / 3], [1, 0, 0], [0, 0.5, 0.5]])
    assert np.allclose(ladder.as_two(probs), [[0.5, 0.5], [1, 0], [0, 1]])
    two = np.array([[0.2, 0.8]])
    assert ladder.as_two(two) is two

"""Temperature scaling."""

import numpy as np
import pytest

import cxrlib as cxr
from cxrlib.calibration import apply, logits_of, temperature


def drawn(n=6000, k=3, seed=0):
    """Logits z and labels drawn from softmax(z): calibrated by construction."""
    rng = np.random.default_rng(seed)
    z = 2 * rng.normal(size=(n, k))
    return z, (z + rng.gumbel(size=z.shape)).argmax(1)


@pytest.mark.parametrize("wrong_by", [0.4, 1.0, 3.0])
def test_it_finds_the_factor_that_spoiled_calibrated_logits(wrong_by):
    z, labels = drawn()
    assert temperature(z * wrong_by, labels) == pytest.approx(wrong_by, rel=0.06)


def test_a_case_by_hand():
    # Ten images with the same logits, seven of class 0: the best probability of class 0 is 0.7.
    z, labels = np.tile([6.0, 0.0], (10, 1)), np.array([0] * 7 + [1] * 3)
    best = 6 / np.log(0.7 / 0.3)
    assert temperature(z, labels) == pytest.approx(best, rel=1e-3)
    assert temperature(z + 5000, labels) == pytest.approx(best, rel=1e-3)
    assert np.allclose(apply(z, best)[:, 0], 0.7)


def test_accuracy_stays_and_calibration_improves():
    z, labels = drawn(3000)
    before, t = apply(4 * z, 1), temperature(4 * z, labels)
    after = apply(4 * z, t)
    assert np.array_equal(before.argmax(1), after.argmax(1))
    reports = [cxr.Report(labels, p, ("a", "b", "c"), bootstrap=0) for p in (before, after)]
    assert reports[1]["accuracy"] == reports[0]["accuracy"]
    assert reports[1]["ece"] < 0.5 * reports[0]["ece"]


def test_probabilities_go_round_in_logits():
    z, labels = drawn(500)
    probs = apply(z, 1)
    assert np.allclose(apply(logits_of(probs), 2.5), apply(z, 2.5))
    assert temperature(logits_of(probs), labels) == pytest.approx(temperature(z, labels), rel=1e-3)
    assert np.isfinite(logits_of([[1.0, 0.0]])).all()


def test_the_ends_of_the_range():
    z = np.array([[3.0, 0.0], [0.0, 3.0]])
    assert temperature(z, np.array([0, 1])) == pytest.approx(0.05)  # all right: the surer the better
    assert temperature(z, np.array([1, 0])) == pytest.approx(20.0)  # all wrong: the more modest the better


@pytest.mark.parametrize(
    "logits, labels, says",
    [
        (np.zeros((0, 2)), np.zeros(0, int), "at least one"),
        (np.zeros(3), np.zeros(3, int), r"\(images, classes\)"),
        (np.zeros((3, 2)), np.zeros(2, int), r"whole numbers of the shape \(3\)"),
        (np.zeros((3, 2)), np.zeros(3), "whole numbers"),
        (np.zeros((3, 2)), np.array([0, 1, 2]), r"0\.\.1"),
        (np.full((1, 2), np.nan), np.zeros(1, int), "NaN"),
    ],
)
def test_impossible_input_is_named(logits, labels, says):
    with pytest.raises(ValueError, match=says):
        temperature(logits, labels)


@pytest.mark.parametrize("t", [0, -1, np.nan, np.inf])
def test_a_temperature_is_above_zero(t):
    with pytest.raises(ValueError, match="above 0"):
        apply(np.zeros((1, 2)), t)


def test_logits_are_not_taken_for_probabilities():
    with pytest.raises(ValueError, match="may be logits"):
        logits_of([[2.0, -1.0]])

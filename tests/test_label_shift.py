"""Label shift: frequencies that are known are recovered, what is undefined is said."""

import numpy as np
import pytest

from coursekit.label_shift import adjust, bbse, em

SOURCE = np.array([0.3, 0.5, 0.2])


def sample(prior, n, seed, means=((0, 0), (2, 0), (1, 2))):
    """Labels, and the exact probabilities of a network that takes SOURCE for granted: classes are normal clouds."""
    rng, means = np.random.default_rng(seed), np.array(means, float)
    labels = rng.choice(3, n, p=prior)
    x = means[labels] + rng.normal(size=(n, 2))
    density = SOURCE * np.exp(-((x[:, None] - means) ** 2).sum(2) / 2)
    return labels, density / density.sum(1, keepdims=True)


@pytest.mark.parametrize("target", [(0.3, 0.5, 0.2), (0.7, 0.1, 0.2), (0.05, 0.05, 0.9), (0.5, 0.5, 0.0)])
def test_a_simulated_shift_is_recovered(target):
    labels, validation = sample(SOURCE, 20_000, seed=0)
    truth, probs = sample(target, 20_000, seed=1)
    for found in (em(probs, validation.mean(0)), bbse(labels, validation, probs)):
        assert found.sum() == pytest.approx(1) and (found >= 0).all()
        np.testing.assert_allclose(found, target, atol=0.02)
    # a network of the same clouds that was trained with the target's frequencies is what `adjust` makes of this one
    fixed = adjust(probs, SOURCE, target)
    assert (fixed.argmax(1) == truth).mean() >= (probs.argmax(1) == truth).mean()
    np.testing.assert_allclose(fixed.mean(0), np.bincount(truth, minlength=3) / len(truth), atol=0.02)


def test_without_a_shift_nothing_changes():
    labels, probs = sample(SOURCE, 500, seed=0)
    np.testing.assert_allclose(em(probs, probs.mean(0)), probs.mean(0), atol=1e-8)
    np.testing.assert_allclose(bbse(labels, probs, probs), np.bincount(labels) / 500)
    np.testing.assert_allclose(adjust(probs, SOURCE, SOURCE), probs)


def test_what_a_network_cannot_tell_is_undefined():
    labels, probs = np.array([0, 1, 2, 2]), np.tile([0.5, 0.3, 0.2], (4, 1))
    assert np.isnan(bbse(labels, probs, probs)).all()
    np.testing.assert_allclose(em(probs, probs[0]), probs[0])
    assert np.isnan(adjust(np.array([[1.0, 0.0]]), [0.5, 0.5], [0.0, 1.0])).all()


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda p: em(p, [0.5, 0.5, 0.0]), "positive frequencies"),
        (lambda p: em(p, [0.5, 0.5]), "prior"),
        (lambda p: em(p, [0.5, 0.5, 0.5]), "sum to 1"),
        (lambda p: em(p[:0], SOURCE), "at least one image"),
        (lambda p: em(p * 2, SOURCE), "probs"),
        (lambda p: bbse(np.zeros(len(p), int), p, p), "class 1 has none"),
        (lambda p: bbse(np.arange(len(p)) % 3, p, p[:, :2] / p[:, :2].sum(1, keepdims=True)), "3 classes"),
        (lambda p: adjust(p, SOURCE, [-0.5, 1.0, 0.5]), "non-negative frequencies"),
    ],
)
def test_bad_arguments_are_refused(call, told):
    with pytest.raises(ValueError, match=told):
        call(sample(SOURCE, 12, seed=0)[1])

"""Test-time augmentation and averaging."""

import warnings

import numpy as np
import pytest
import torch

import cxrlib as cxr
from cxrlib._predict import VIEWS
from cxrlib.ensemble import average
from cxrlib.metrics import best_threshold


@pytest.fixture(scope="module")
def model():
    return cxr.build_model("CPCP", ("normal", "pneumonia"), size=16, seed=0, filters=(4, 8))


def changed(data, images):
    return cxr.CxrDataset(np.ascontiguousarray(images), data.labels, data.classes, data.patients)


def test_one_view_is_predict(model, toy_data):
    data = toy_data()
    assert np.array_equal(cxr.predict(model, data, tta=["identity"]), cxr.predict(model, data))
    batches = cxr.predict(model, data, tta="identity", batch_size=5)
    assert np.allclose(batches, cxr.predict(model, data, tta=["identity"]), atol=1e-6)


def test_an_array_that_must_not_be_written_is_read_without_a_warning(model, toy_data):
    images = toy_data().images.copy()
    expected = cxr.predict(model, images)
    images.flags.writeable = False  # as `decode` gives them
    torch.set_warn_always(True)  # PyTorch would warn once a process
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.array_equal(cxr.predict(model, images), expected)
    finally:
        torch.set_warn_always(False)


def test_views_are_averaged_as_probabilities(model, toy_data):
    data = toy_data()
    mirrored = cxr.predict(model, changed(data, data.images[:, :, :, ::-1]))
    assert np.allclose(cxr.predict(model, data, tta=["identity", "flip"]), (cxr.predict(model, data) + mirrored) / 2)


def test_a_report_can_be_made_from_views(model, toy_data):
    data, val = toy_data(), toy_data(24, seed=1)
    views = ("identity", "flip", "shift-up")
    report = cxr.evaluate(model, data, threshold=val, tta=views, bootstrap=0)
    assert np.array_equal(report.probs, cxr.predict(model, data, tta=views))
    assert report.threshold == best_threshold(val.labels, cxr.predict(model, val, tta=views)[:, 1])
    assert not np.array_equal(report.probs, cxr.evaluate(model, data, bootstrap=0).probs)


def test_a_shift_moves_the_picture_and_brings_in_black():
    images = np.arange(1, 1 + 50 * 50, dtype=np.int64).reshape(1, 1, 50, 50) % 250 + 1
    images = images.astype(np.uint8)
    left, down = VIEWS["shift-left"](images), VIEWS["shift-down"](images)
    assert np.array_equal(left[..., :-2], images[..., 2:]) and not left[..., -2:].any()
    assert np.array_equal(down[:, :, 2:], images[:, :, :-2]) and not down[:, :, :2].any()
    assert np.array_equal(VIEWS["shift-right"](left)[..., 2:], images[..., 2:])
    assert np.array_equal(VIEWS["shift-up"](down)[:, :, :-2], images[:, :, :-2])


def test_the_flip_is_used_only_when_named(model, toy_data):
    data = toy_data()
    seen = []

    def spy(images):
        seen.append(images)
        return images

    cxr.predict(model, data, tta=[spy])
    assert np.array_equal(np.concatenate(seen), data.images)
    names = [name for name in VIEWS if name != "flip"]
    shifts = [cxr.predict(model, changed(data, VIEWS[name](data.images))) for name in names]
    assert np.allclose(cxr.predict(model, data, tta=names), np.mean(shifts, axis=0))


@pytest.mark.parametrize(
    "views, says",
    [
        (["mirror"], "identity, flip.*'mirror'"),
        ([lambda x: x / 255.0], "uint8 images"),
        ([lambda x: x[:, :, ::2]], "uint8 images"),
    ],
)
def test_impossible_views_are_named(model, toy_data, views, says):
    with pytest.raises(ValueError, match=says):
        cxr.predict(model, toy_data(), tta=views)


def test_average_weighs():
    a, b = np.array([[0.2, 0.8], [1, 0]]), np.array([[0.6, 0.4], [0, 1]])
    assert np.allclose(average([a, b]), [[0.4, 0.6], [0.5, 0.5]])
    assert np.allclose(average([a, b], [3, 1]), [[0.3, 0.7], [0.75, 0.25]])
    assert np.array_equal(average([a]), a)


@pytest.mark.parametrize(
    "probs, weights, says",
    [
        ([], None, "at least one model"),
        ([np.ones((2, 1)), np.eye(2)], None, r"\(2, 1\).*\(2, 2\)"),
        ([np.eye(2), np.array([[3.0, -1], [0, 0]])], None, r"probs\[1\].*softmax"),
        ([np.eye(2)], [0], "not all 0"),
        ([np.eye(2)], [1, 1], "numbers of the shape .1.*got"),
        ([np.eye(2), np.eye(2)], [2, -1], "at least 0"),
    ],
)
def test_what_cannot_be_averaged_is_named(probs, weights, says):
    with pytest.raises(ValueError, match=says):
        average(probs, weights)

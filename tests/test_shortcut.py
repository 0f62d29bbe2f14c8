"""The laboratory's data sets are what they claim to be; its measures are right for models with known behavior."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from cxrlib import shortcut as lab
from cxrlib.phantom import make_phantoms
from cxrlib.recipe import Recipe

TINY = Recipe(model="CPCPC", model_options={"filters": (4, 8)}, size=32, epochs=1, precision="fp32")


@pytest.fixture(scope="module")
def pairs():
    return lab.make_pairs(40, size=32, seed=3, workers=1)


class MarkerDetector(nn.Module):
    """Says "ill" when one of the brightest spots lies in the marker's box: knows the boxes, image by image."""

    def __init__(self, pairs):
        super().__init__()
        self.dummy = nn.Parameter(torch.zeros(1))
        self.classes = pairs.plain.classes
        self.plain = torch.from_numpy(pairs.plain.images).float() / 255

    def forward(self, x):
        differs = (x != self.plain[: len(x)]).flatten(1).any(1).float()
        return torch.stack([1 - differs, differs], 1) * 9


def test_pairs_differ_only_inside_the_marker_box(pairs):
    different = (pairs.marked.images != pairs.plain.images)[:, 0]
    boxes = lab.marker_boxes(pairs.marked)
    assert different.any((1, 2)).all()
    for where, (x0, y0, x1, y1) in zip(different, boxes, strict=True):
        inside = np.zeros_like(where)
        inside[y0:y1, x0:x1] = True
        assert not (where & ~inside).any()
    assert np.array_equal(pairs.marked.labels, pairs.plain.labels)


def test_choosing_from_pairs_gives_the_phantoms_of_the_confounder_dial(pairs):
    for p in (0, 1):
        dials = {"marker": {"normal": 1 - p, "bacterial": p}}
        direct = make_phantoms(40, 32, lab.CLASSES, 3, dials, bedside=0, shift=0, progress=False, workers=1)
        chosen = lab.confounded(pairs, p)
        assert np.array_equal(chosen.images, direct.images)
        assert chosen.table["marker"].tolist() == direct.table["marker"].tolist()
        assert chosen.table["marker_x0"].tolist() == direct.table["marker_x0"].tolist()


def test_the_fraction_of_markers_is_the_one_asked_for():
    data = lab.make_pairs(240, size=32, seed=0, workers=1)
    for p in (0.5, 0.9):
        marker = lab.confounded(data, p).table["marker"].to_numpy()
        ill = data.plain.labels == 1
        assert marker[ill].mean() == pytest.approx(p, abs=0.1)
        assert marker[~ill].mean() == pytest.approx(1 - p, abs=0.16)


def test_the_three_tests_differ_only_in_their_markers(pairs):
    tests = lab.three_tests(pairs, 1.0)
    ill = pairs.plain.labels == 1
    assert np.array_equal(tests["same"].table["marker"], ill)
    assert np.array_equal(tests["swapped"].table["marker"], ~ill)
    assert not tests["removed"].table["marker"].any()
    assert all(np.array_equal(t.labels, pairs.plain.labels) for t in tests.values())


def test_a_marker_detector_flips_every_answer_and_a_constant_flips_none(pairs):
    detector = MarkerDetector(pairs)
    assert lab.flip_rate(detector, pairs.marked, pairs.plain)["flips"] == 1
    assert lab.flip_rate(detector, pairs.plain, pairs.plain) == {"flips": 0, "low": 0, "high": 0, "shift": 0}
    table = lab.accuracies(detector, lab.three_tests(pairs, 1.0))
    assert table["balanced_accuracy"].round(6).to_dict() == {"same": 1, "removed": 0.5, "swapped": 0}


def test_blackout_hides_the_lungs_and_nothing_outside_their_box(pairs):
    data = pairs.marked
    black = lab.blackout(data)
    assert (black.images[:, 0][data.lungs] == 0).all()
    for before, after, lung in zip(data.images[:, 0], black.images[:, 0], data.lungs, strict=True):
        y, x = np.nonzero(lung)
        outside = np.ones_like(lung)
        outside[y.min() : y.max() + 1, x.min() : x.max() + 1] = False
        assert np.array_equal(before[outside], after[outside])
    assert not np.shares_memory(black.images, data.images)


def test_marker_boxes_grow_and_stay_in_the_image(pairs):
    boxes, grown = lab.marker_boxes(pairs.marked), lab.marker_boxes(pairs.marked, 4)
    assert (grown[:, :2] <= boxes[:, :2]).all()
    assert (grown[:, 2:] >= boxes[:, 2:]).all()
    assert grown.min() >= 0
    assert grown.max() <= 32
    assert (lab.marker_boxes(pairs.plain, 4) == -1).all()


def test_marker_references(pairs):
    alone, uniform = lab.marker_references(pairs, (8, 8))
    assert alone > 0.9
    boxes = lab.marker_boxes(pairs.marked[np.flatnonzero(pairs.marked.masks.any((1, 2)))], 4)
    area = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).mean() / 32**2
    assert uniform == pytest.approx(area)


def test_dose_response_runs_and_draws(pairs):
    frame, models = lab.dose_response(pairs, pairs, (0.5, 1.0), TINY, layer=None)
    assert frame.index.tolist() == list(models) == [0.5, 1.0]
    for name in ("same", "removed", "swapped", "flips", "energy_marker", "energy_lesion"):
        assert frame[name].between(0, 1).all()
        assert (frame[f"{name}_low"] <= frame[name] + 1e-9).all()
        assert (frame[f"{name}_high"] >= frame[name] - 1e-9).all()
    ill = pairs.marked[np.flatnonzero(pairs.marked.labels == 1)[:2]]
    figure = lab.plot_maps({"clean": models[0.5]}, ill, layer=None)
    assert "clean" in figure.alt
    assert figure.to_png().startswith(b"\x89PNG")
    figure = lab.plot_maps(models, ill, layer=None)
    tops = {ax.images[1].get_clim()[1] for ax in figure.axes if len(ax.images) == 2}
    assert len(tops) == 1, "maps that are compared have one scale"
    assert figure.axes[-1].get_ylabel() == "value of the map"


def test_a_test_without_one_class_is_undefined_where_it_must_be(pairs):
    ill = np.flatnonzero(pairs.plain.labels == 1)
    table = lab.accuracies(MarkerDetector(lab.Pairs(pairs.marked[ill], pairs.plain[ill])), {"ill": pairs.marked[ill]})
    assert table.loc["ill", "balanced_accuracy"] == 1 and table.loc["ill", ["auc", "auc_low"]].isna().all()


def test_invisible_confounder_trains_two_networks():
    frame, models = lab.invisible(40, 20, {"gamma": 1.4}, size=32, recipe=TINY, layer=None, workers=1)
    assert frame.index.tolist() == list(models) == ["clean", "confounded"]
    assert frame[["same", "removed", "swapped", "flips", "energy_lesion"]].notna().all(axis=None)


def test_lung_control_gives_one_row_per_fraction(pairs):
    frame = lab.lung_control(pairs, pairs, (0.5, 1.0), TINY)
    assert isinstance(frame, pd.DataFrame)
    assert frame.index.tolist() == [0.5, 1.0]
    assert frame["auc"].between(0, 1).all()


def test_bad_input_names_the_argument(pairs):
    without = lab.choose(pairs, np.zeros(40, bool))
    without._lungs = None
    uncovered = lab.choose(pairs, np.zeros(40, bool))
    uncovered._lungs = uncovered.lungs.copy()
    uncovered._lungs[3] = False
    for call, message in (
        (lambda: lab.confounded(pairs, 1.5), "p: give a number from 0 to 1"),
        (lambda: lab.choose(pairs, [True]), "marked: give true or false"),
        (lambda: lab.blackout(without), "no lung masks"),
        (lambda: lab.flip_rate(None, pairs.plain, pairs.plain[:3]), "two versions"),
        (lambda: lab.flip_rate(None, pairs.plain[:0], pairs.plain[:0]), "at least one image"),
        (lambda: lab.blackout(uncovered), "1 images have an empty lung mask"),
        (lambda: lab.invisible(8, 8, {"marker": 1}), "confounder: give gamma or blur"),
        (lambda: lab.plot_maps({}, pairs.plain), "1 to 12 images"),
    ):
        with pytest.raises(ValueError, match=message):
            call()

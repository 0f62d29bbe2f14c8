"""White boxes are found, and bright bones, collimated corners and overexposed parts are not."""

import numpy as np
import pytest

import cxrlib as cxr
from cxrlib.data.measure import white_boxes


@pytest.fixture(scope="module")
def phantoms():
    return cxr.load("phantom", 96, n=60, progress=False).images[:, 0]


@pytest.mark.parametrize("where", [np.s_[80:92, 20:60], np.s_[0:8, 0:20], np.s_[40:70, 90:96], np.s_[:, 70:]])
def test_a_box_is_found_where_it_lies(phantoms, where):
    images = phantoms.copy()
    images[:, *where] = 255
    found, truth = white_boxes(images), np.zeros(images.shape[1:], bool)
    truth[where] = True
    overlap = (found & truth).sum((1, 2)) / (found | truth).sum((1, 2))
    assert np.mean(overlap > 0.9) > 0.95


def test_nothing_is_found_in_chests(phantoms):
    bright = np.clip(phantoms.astype(int) * 3 // 2, 0, 255).astype(np.uint8)
    assert not white_boxes(phantoms).any() and white_boxes(bright).any((1, 2)).mean() < 0.2
    assert not white_boxes(np.full((2, 40, 40), 255, np.uint8)).any() and white_boxes(phantoms[:0]).shape == (0, 96, 96)

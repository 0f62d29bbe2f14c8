"""CxrDataset: selection, sharing of memory, torch."""

import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from cxrlib.data import CxrDataset


def make(n=12, size=16, **changes):
    rng = np.random.default_rng(0)
    parts = {
        "images": rng.integers(0, 256, (n, 1, size, size), dtype=np.uint8),
        "labels": np.arange(n) % 2,
        "classes": ("normal", "pneumonia"),
        "patients": [f"p{i // 3}" for i in range(n)],
        "table": pd.DataFrame({"split": ["train"] * (n - 4) + ["test"] * 4, "row": np.arange(n)}),
        "masks": rng.random((n, size, size)) < 0.1,
        "name": "small",
    }
    return CxrDataset(**{**parts, **changes})


def test_one_sample_is_what_torch_expects():
    d = make()
    image, label = d[3]
    assert image.dtype == torch.float32 and image.shape == (1, 16, 16) and label == 1 and isinstance(label, int)
    assert torch.equal(image, torch.from_numpy(d.images[3]).float() / 255)
    assert torch.equal(d[-1][0], d[11][0])
    with pytest.raises(IndexError, match="size 12"):
        d[12]
    assert len(list(d)) == 12  # iteration ends


@pytest.mark.parametrize(
    "key",
    [
        slice(2, 9, 3),
        [5, 2, 2, -1],
        np.array([4, 0]),
        np.arange(12) % 5 == 1,
        torch.tensor([1, 3]),
        [],
        slice(None, None, -1),
        slice(4, 9),
    ],
)
def test_selection_keeps_everything_together(key):
    d = make()
    part = d[key]
    expected = np.arange(12)[np.asarray(key, dtype=int) if isinstance(key, list) else key]
    assert part.rows.tolist() == expected.tolist() and len(part) == len(expected)
    assert np.array_equal(part.images, d.images[expected])
    assert np.array_equal(part.masks, d.masks[expected])
    assert np.array_equal(part.labels, d.labels[expected])
    assert np.array_equal(part.patients, d.patients[expected])
    assert part.table["row"].tolist() == expected.tolist()
    assert part.table.index.tolist() == list(range(len(expected)))


def test_selection_of_a_selection():
    d = make()
    part = d[2:10][[5, 0]][::-1]
    assert part.rows.tolist() == [2, 7]
    assert np.array_equal(part.batch([1]), d.images[[7]])


def test_selection_copies_no_pixels():
    d = make()
    assert d[3:]._images is d[[1, 2]]._images is d._images
    assert np.shares_memory(d[3:8].images, d.images)


@pytest.mark.parametrize(
    "key, error",
    [([12], IndexError), ([-13], IndexError), ([True] * 5, IndexError), ("a", TypeError), ([0.5], TypeError)],
)
def test_wrong_selection_is_explained(key, error):
    with pytest.raises(error, match=r"12|\bint\b"):
        make()[key]


def test_where():
    d = make()
    assert len(d.where(split="test")) == 4
    assert d.where(split=["train", "test"], row=[1, 9, 99]).rows.tolist() == [1, 9]
    assert len(d.where(split="val")) == 0
    with pytest.raises(ValueError, match="no column 'spilt'.*split"):
        d.where(spilt="train")


def test_batches_for_training_are_uint8():
    d = make()[1:]
    images, labels = d.__getitems__([3, 0])
    assert images.dtype == torch.uint8 and labels.dtype == torch.int64
    assert np.array_equal(images.numpy(), d.images[[3, 0]]) and labels.tolist() == d.labels[[3, 0]].tolist()
    assert type(images.float()) is torch.Tensor


@pytest.mark.parametrize("workers", [0, 1])
def test_a_plain_dataloader_gives_the_same_values_as_indexing(workers):
    d = make()
    batches = list(DataLoader(d, batch_size=5, num_workers=workers))
    images, labels = torch.cat([b[0] for b in batches]), torch.cat([b[1] for b in batches])
    assert type(batches[0][0]) is torch.Tensor and images.dtype == torch.float32
    assert torch.equal(images, torch.stack([d[i][0] for i in range(12)]))
    assert labels.tolist() == d.labels.tolist()


def test_dataloader_with_own_collate_sees_one_uint8_batch():
    loader = DataLoader(make(), batch_size=8, collate_fn=lambda batch: batch)
    assert [tuple(x.shape) for x, y in loader] == [(8, 1, 16, 16), (4, 1, 16, 16)]


def test_a_memory_map_travels_to_workers_as_a_file_name(tmp_path):
    file = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.uint8, shape=(12, 1, 256, 256))
    file[:] = np.arange(12)[:, None, None, None]
    d = make(images=file, masks=None)[[7, 3]]
    packed = pickle.dumps(d)
    assert len(packed) < 20_000 and np.array_equal(pickle.loads(packed).images, d.images)


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="counts what Linux reads from the disk")
@pytest.mark.parametrize(
    "read",
    [
        lambda d, rows: d.batch(rows)[:, 0, 0, 0].tolist(),
        lambda d, rows: [round(d[row][0].max().item() * 255) for row in rows],
    ],
    ids=["batch", "one by one"],
)
def test_random_rows_of_a_memory_map_read_little_more_than_themselves(tmp_path, read):
    n, size = 1500, 160
    written = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.uint8, shape=(n, 1, size, size))
    written[:] = (np.arange(n) % 251)[:, None, None, None]
    written.flush()
    del written
    with open(tmp_path / "x.npy", "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # or nothing had to be read
    d = make(n, images=np.load(tmp_path / "x.npy", mmap_mode="c"), masks=None)
    rows = np.random.default_rng(0).permutation(n)[:60]
    read(d, [0])  # what this code itself loads from the disk
    before = bytes_read()
    values = read(d, rows)
    assert bytes_read() - before < 4 * len(rows) * size * size
    assert values == (rows % 251).tolist()


def bytes_read() -> int:
    return int(Path("/proc/self/io").read_text().partition("\nread_bytes: ")[2].split()[0])


def test_fingerprint_follows_content():
    a, b = make(), make()
    assert a.fingerprint == b.fingerprint == a[:].fingerprint
    changed = a.images.copy()
    changed[5, 0, 3, 3] ^= 1
    others = [make(images=changed), make(labels=np.zeros(12, int)), make(patients=["x"] * 12), a[1:], a[::-1]]
    assert len({a.fingerprint, *(o.fingerprint for o in others)}) == 6


def test_counts():
    d = make()
    counts = d.counts()
    assert counts.loc["train"].tolist() == [4, 4, 8] and counts.index.tolist() == ["train", "test"]
    assert make(table=None).counts().loc["all", "total"] == 12
    assert d[[]].counts().empty


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"images": np.zeros((12, 16, 16), np.uint8)}, r"\(N, 1, H, W\)"),
        ({"images": np.zeros((12, 1, 16, 16))}, "uint8.*float64"),
        ({"labels": np.zeros(11, int)}, r"labels.*\(12\).*\(11,\)"),
        ({"labels": np.zeros(12)}, "labels: give whole numbers"),
        ({"labels": np.full(12, 2)}, r"0\.\.1"),
        ({"classes": "normal"}, "different names, got 'normal'"),
        ({"classes": ("a", "a")}, "different"),
        ({"patients": ["p"]}, "patients"),
        ({"table": pd.DataFrame({"a": [1]})}, "1 rows"),
        ({"masks": np.zeros((12, 8, 8), bool)}, "masks"),
        ({"lungs": np.zeros((12, 16, 16), np.uint8)}, "lungs.*bool"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        make(**changes)


def test_it_shows_itself():
    d = make(classes=("<normal>", "pneumonia"))
    page = d._repr_html_()
    assert page.count("<img") == page.count(' alt="') == 2 and "<normal>" not in page and "&lt;normal&gt;" in page
    assert "12 images" in repr(d) and "4 patients" in repr(d)
    assert "0 images" in d[[]]._repr_html_()

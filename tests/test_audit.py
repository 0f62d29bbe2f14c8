"""audit: it finds what was planted, and stays silent where nothing was."""

import json

import numpy as np
import pandas as pd
import pytest

from cxrlib.data import CxrDataset, audit, load
from cxrlib.files import write_page


def make(n=240, seed=0, size=24, images=None, **columns):
    """Images without any fault: two equal classes, one image a patient, splits alike."""
    rng = np.random.default_rng(seed)
    if images is None:
        images = rng.integers(60, 200, (n, 1, size, size), dtype=np.uint8)
    labels = np.arange(n) % 2
    table = {
        "file": [f"{i}.png" for i in range(n)],
        "split": np.array(["train", "test"], dtype=object)[np.arange(n) // 2 % 2],
        "width": [200] * n,
        "height": [180] * n,
        "extension": [".png"] * n,
        "bytes": rng.integers(9000, 11000, n),
        "digest": [f"d{i}" for i in range(n)],
    }
    patients = columns.pop("patients", [f"p{i}" for i in range(n)])
    table.update(columns)
    return CxrDataset(images, labels, ("normal", "pneumonia"), patients, pd.DataFrame(table), name="made")


def told(data):
    return " | ".join(audit(data).findings)


def test_a_clean_set_has_no_findings():
    assert audit(make()).findings == []


def test_counts():
    found = audit(make(subtype=["normal", "viral", "normal", "bacterial"] * 60))
    row = found.counts.set_index(["split", "class"]).loc[("train", "pneumonia")]
    assert row["images"] == 60 and row["patients"] == 60 and row["viral"] == 60 and row["bacterial"] == 0


def test_unequal_classes_and_small_splits():
    d = make()[[*range(0, 200, 2), *range(1, 40, 2)]]
    text = told(d)
    assert "normal has 5.0 times as many images as pneumonia" in text and "83.3%" in text
    small = told(make(64))
    assert "test split has only 32 images" in small and "3.1%" in small


def test_patients():
    patients = [f"p{i // 4 if i < 40 else i}" for i in range(240)]  # 10 patients with 4 images in both splits
    d = make(patients=patients)
    found = audit(d)
    row = found.crossings.set_index("key").loc["patient"]
    assert row["values"] == 10 and row["images"] == 40
    assert "10 patients are in train and test, with 40 images" in " | ".join(found.findings)
    several = make(patients=[f"p{i if i >= 16 else i % 4}" for i in range(240)])  # 4 patients with 4 images each
    row = audit(several).patients.set_index(["split", "class"]).loc[("train", "normal")]
    assert row["with_several"] == 1 and row["their_images"] == row["most"] == 4
    assert "more than one image: 2 in train (normal 1, pneumonia 1; the most is 4), 2 in test" in told(several)


def test_naive_key_is_told_apart_from_the_patient():
    d = make(key_number=[str(i // 4 if i < 12 else i) for i in range(240)])
    text = told(d)
    assert "With key_number as the patient key, 3 keys" in text and "it is 0" in text and "patients are in" not in text


def test_unknown_patients():
    assert "For 40 images of 240 the patient is not known" in told(make(patient_known=[False] * 40 + [True] * 200))


def test_identical_files():
    digest = [f"d{i}" for i in range(240)]
    digest[4] = digest[0]  # both train, both normal
    assert "1 group of byte-identical files (2 files): none across splits, none across classes" in told(
        make(digest=digest)
    )
    digest[2] = digest[1] = digest[0]  # 1 is pneumonia, 2 is test
    found = audit(make(digest=digest))
    assert "1 across splits, 1 across classes" in " ".join(found.findings) and found.duplicates.loc[0, "files"] == 4
    assert "leak" in " ".join(found.findings)


def test_a_comma_in_the_name_of_a_class_makes_no_two_classes_of_it():
    d = make(digest=["same"] * 3 + [f"d{i}" for i in range(3, 240)])
    d = CxrDataset(d.images, d.labels * 0, ("pneumonia, viral",), d.patients, d.table, name="made")
    assert "1 across splits, none across classes" in told(d)


def test_identical_pixels_are_found_without_file_digests():
    d = make()
    images = d.images.copy()
    images[7] = images[3]
    d = CxrDataset(images, d.labels, d.classes, d.patients)
    assert "1 group" in told(d)


def test_exposure():
    d = make()
    images = d.images.copy()
    test = (d.table["split"] == "test").to_numpy()
    images[test, :, :8] = 0
    found = audit(make(images=images))
    rows = found.exposure.set_index(["by", "group", "split"])["near_black"]
    assert rows["class", "normal", "test"] == pytest.approx(1 / 3) and rows["class", "normal", "train"] == 0
    assert "train and test are exposed differently. Largest difference, normal images" in " ".join(found.findings)


def test_exposure_numbers_are_right():
    d = make(60)
    row = audit(d).exposure.iloc[0]
    part = d.images[(d.labels == 0) & (d.table["split"] == "train").to_numpy()].astype(float)
    assert row["mean"] == pytest.approx(part.mean())
    assert row["sd"] == pytest.approx(part.std(axis=(1, 2, 3)).mean())


@pytest.mark.parametrize("side_door", ["extension", "width", "bytes", "black border", "white boxes"])
def test_metadata_that_tells_the_class(side_door):
    d = make()
    ill = d.labels == 1
    images, columns = None, {}
    if side_door == "extension":
        columns["extension"] = np.where(ill, ".jpg", ".png")
    elif side_door == "width":
        columns["width"] = np.where(ill, 300, 200)
    elif side_door == "bytes":
        columns["bytes"] = np.where(ill, 5000, 9000) + np.arange(240)
    elif side_door == "white boxes":
        images = d.images.copy()
        images[ill, :, 12:20, 4:14] = 255
    else:
        images = d.images.copy()
        images[ill, :, :5] = images[ill, :, :, -5:] = 0
    found = audit(make(images=images, **columns))
    row = found.metadata.set_index("metadata").loc[f"{side_door} alone"]
    assert row["balanced_accuracy"] > 0.98 and row["auc"] > 0.98 and row["chance"] == 0.5
    assert "Metadata tells the class" in " ".join(found.findings) and f"{side_door} alone" in " ".join(found.findings)


def test_where_classes_have_file_types_or_white_boxes_of_their_own_that_is_said():
    d = make()
    ill, images = d.labels == 1, d.images.copy()
    images[np.flatnonzero(ill)[:40], :, 12:20, 4:14] = 255
    found = told(make(images=images, extension=np.where(ill, ".jpg", ".png")))
    assert "File types differ between the classes: .png normal; .jpg pneumonia." in found
    assert "White boxes or borders, as they cover names, are in 0.0% of normal, 33.3% of pneumonia." in found


def test_prevalence_that_differs_between_splits_is_said():
    d = make()
    split = np.where((d.labels == 1) & (np.arange(240) % 8 < 6), "train", d.table["split"])
    assert "pneumonia is 60% of train, 33% of test. Accuracy" in told(make(split=split))


def test_metadata_is_judged_by_patient():
    """Each patient has an own file size and a random label: only a cut by image could learn that."""
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(60), 4)
    d = make(240, patients=[f"p{w}" for w in who], bytes=rng.permutation(60)[who] * 1000)
    d = CxrDataset(d.images, rng.integers(0, 2, 60)[who], d.classes, d.patients, d.table)
    score = audit(d).metadata.set_index("metadata").loc["bytes alone", "balanced_accuracy"]
    assert score < 0.7


def test_without_metadata_splits_or_a_second_class():
    d = make(20)
    bare = CxrDataset(d.images, d.labels, d.classes, d.patients)
    found = audit(bare)
    assert set(found.counts["split"]) == {"all"} and len(found.crossings) == 0
    one = audit(bare[bare.labels == 0])
    assert len(one.metadata) == 0 and "Class pneumonia has no image." in one.findings
    assert one._repr_html_() and str(one)
    with pytest.raises(ValueError, match="empty"):
        audit(d[[]])


def test_it_shows_itself():
    d = make(file=[f"<b>{i}" for i in range(240)], digest=["same"] * 3 + [f"d{i}" for i in range(237)])
    found = audit(d)
    page, text = found._repr_html_(), str(found)
    assert "<b>" not in page and 'alt="Three panels' in page and "Findings" in text and "byte-identical" in text
    assert repr(found) == text
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert values["images"] == 240 and values["findings"] == found.findings and values["fingerprint"] == d.fingerprint
    assert "60 train" in found.figure().alt


def test_phantoms():
    found = audit(load("phantom", 32, n=60, workers=1, progress=False))
    assert found.images == 60 and json.dumps(found.to_dict())


def test_real_images(real_root):
    d = load(f"folder:{real_root}", 64, progress=False)  # as in test_split, with which it shares the cache
    found = audit(d, progress=False)
    patients = found.patients.set_index(["split", "class"])
    assert patients.loc[("train", "pneumonia"), ["with_several", "most"]].tolist() == [573, 30]
    assert patients.loc["test", "patients"].sum() == 428
    crossings = found.crossings.set_index("key")
    assert crossings.loc["patient", "values"] == 0 and crossings.loc["key_number", "pneumonia"] == 170
    assert len(found.duplicates) == 30 and found.duplicates["files"].sum() == 62
    assert not found.duplicates[["splits", "classes"]].apply(lambda c: c.str.contains(",")).any(axis=None)
    near = found.exposure.set_index(["group", "split"])["near_black"]
    assert near["IM", "train"] == pytest.approx(0.0776, abs=0.0002)
    assert near["IM", "test"] == pytest.approx(0.0236, abs=0.0002)


@pytest.mark.slow
@pytest.mark.browser
def test_the_page_of_an_audit_fits_a_narrow_screen(chromium, tmp_path):
    data = load("phantom", n=60, size=64, progress=False)
    path = write_page(tmp_path / "audit.html", "Audit", audit(data, progress=False)._repr_html_())
    page = chromium.new_page(viewport={"width": 320, "height": 700})
    page.goto(path.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.locator("table").count() and page.evaluate("document.documentElement.scrollWidth") <= 320
    page.close()

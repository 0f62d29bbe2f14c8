"""Folders as people really have them: splits and classes by many names, masks, links, other files; names that tell."""

import os
import re
import subprocess
import sys
import time
import unicodedata
import warnings

import numpy as np
import pytest
from PIL import Image

from cxrlib.data import audit, load, split
from cxrlib.data.layout import split_of
from cxrlib.data.names import read_name


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CXR_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    """folder("a/1.png", ...): the root that holds these pictures, all different; "b/" makes four of them."""

    def make(*paths):
        for path in paths:
            names = [path + f"{i}.png" for i in range(4)] if path.endswith("/") else [path]
            for name in names:
                place = tmp_path / "x" / name
                place.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.random.default_rng(len(list((tmp_path / "x").rglob("*")))).integers(0, 256, (20, 24))
                Image.fromarray(pixels.astype(np.uint8)).save(place)
        return tmp_path / "x"

    return make


def read(root, **options):
    """The data set, and all that was said."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = load(f"folder:{root}", 16, progress=False, **options)
    return data, " ".join(str(w.message) for w in caught)


def splits(data):
    return data.table["split"].value_counts().to_dict()


NFD = unicodedata.normalize("NFD", "Neumonía")
TWO = ("normal", "pneumonia")
HALVES = {"train": 8, "test": 8}


@pytest.mark.slow
def test_a_folder_for_each_patient_takes_no_longer_than_its_files(tmp_path):
    """Such folders are taken for classes. What is asked of each pair of them would take minutes."""
    for i in range(4000):
        (tmp_path / "x" / f"patient{i}").mkdir(parents=True)
        (tmp_path / "x" / f"patient{i}" / "1.pgm").write_bytes(b"P5 1 2 255\n" + bytes([i % 251, i // 251]))
    start = time.process_time()
    data, _ = read(tmp_path / "x")
    assert len(data) == len(data.classes) == 4000 and time.process_time() - start < 4


def both(*patterns, a="NORMAL", b="PNEUMONIA"):
    """Each pattern with both classes in place of C."""
    return [pattern.replace("C", name) + "/" for pattern in patterns for name in (a, b)]


@pytest.mark.parametrize(
    "folders, classes, found, said",
    [
        (both("train/C", "test/C"), TWO, HALVES, ""),
        (both("train/train/C", "test/test/C"), TWO, HALVES, ""),
        (both("Training_Set/C", "test-set/C"), TWO, HALVES, "'Training_Set' as train, 'test-set' as test"),
        (both("entrenamiento/C", "prueba/C", b="NEUMONIA"), ("normal", "neumonia"), HALVES, "'prueba' as test"),
        (both("1_train/C", "2 test/C", a="0", b="1"), ("0", "1"), HALVES, "'1_train' as train"),
        (both("C/train", "C/test"), TWO, HALVES, "CLASS/SPLIT"),
        (["NORMAL/train/p1/", "NORMAL/test/p2/", "PNEUMONIA/train/p3/", "PNEUMONIA/test/p4/"], TWO, HALVES, "CLASS"),
        (both("A/train/C", "B/test/C"), TWO, HALVES, ""),
        (["train/Normal/", "train/Neumonía/", "test/Normal/", f"test/{NFD}/"], ("normal", "neumonía"), HALVES,
         "Taken as one class: 'Neumon"),
        (both("train/C", "test/C "), TWO, HALVES, "Taken as one class: 'NORMAL', 'NORMAL '"),
        (["train/NORMAL/", "train/PNEUMONIA/", "test/Normal/", "test/pneumonia/"], TWO, HALVES, ""),
        (both("data/set/C"), TWO, {"all": 8}, ""),
        (both("images/train/C", "images/test/C"), TWO, HALVES, ""),
        ([*both("train/C", "test/C"), "test/COVID/"], ("normal", "covid", "pneumonia"), {"train": 8, "test": 12},
         "Class covid is only in test: train has no image"),
        ([*both("train/C", "test/C", "val/C"), "val/TB/"], ("normal", "pneumonia", "tb"), HALVES | {"val": 12},
         "Class tb is only in val: train and test have no image"),
        ([*both("train/C"), "extra/NORMAL/"], TWO, {"train": 8}, "4 files .* left out.*in one of the folders train"),
        (both("train/C", "test/C\u200b"), TWO, HALVES, r"Taken as one class: 'NORMAL', 'NORMAL\\u200b'"),
        (["train/AB/", "train/TB/", "test/ＡＢ/", "test/TB/"], ("ab", "tb"), HALVES, "Taken as one class"),
        (both("s1/train/C", "s1/test/C", "s2/train/C", "s2/test/C"), TWO, {"train": 16, "test": 16},
         "sets in the folders s1, s2 are read as one"),
        (both("links/C", "rechts/C"), ("links", "rechts"), {"all": 16},
         "classes are links, rechts, and each holds folders NORMAL, PNEUMONIA. If these are the classes"),
        (["NORMAL/"], ("normal",), {"all": 4}, "only one class, normal"),
    ],
)  # fmt: skip
def test_layouts(folder, folders, classes, found, said):
    data, notes = read(folder(*folders))
    assert data.classes == classes and splits(data) == found
    about_patients = f"The patient of {len(data)} of {len(data)} images is not known"
    assert about_patients in notes and re.search(said, notes), notes
    if not said:
        assert re.fullmatch(r"\S+: " + re.escape(about_patients) + ".*", notes), notes


@pytest.mark.parametrize(
    "word", ["train", "Training", "TRAIN_SET", "trainset", "treino", "entraînement", "eğitim", "训练集", "стоп"]
)
def test_words_for_train(word):
    assert split_of(word) == (None if word == "стоп" else "train")


def test_other_words_for_splits():
    names = {"Testing": "test", "teste": "test", "prüfung": None, "valid": "val", "Validación": "val", "dev": "val"}
    names |= {"stage_2_test_images": "test", "тест": "test", "테스트": "test", "normal": None, "images": None, "": None}
    names |= {"train test": None, "pretraining": None, "test2": "test", "TEST SET ": "test"}
    assert {name: split_of(name) for name in names} == names


# -- masks ------------------------------------------------------------------------------------------


def test_images_beside_masks_have_lungs(folder):
    """The layout of the COVID-19 Radiography Database."""
    root = folder("COVID/images/", "COVID/masks/", "Normal/images/", "Normal/masks/")
    for i in range(4):
        for name in ("COVID", "Normal"):
            mask = np.zeros((32, 32, 3), np.uint8)
            mask[8 * i : 8 * i + 8] = 1 if name == "COVID" else 255
            Image.fromarray(mask).save(root / name / "masks" / f"{i}.png")
    data, notes = read(root)
    assert data.classes == ("normal", "covid") and len(data) == 8 and "8 of 8 images have a lung mask" in notes
    for file, lungs in zip(data.table["file"], data.lungs, strict=True):
        expected = np.zeros((16, 16), bool)
        expected[4 * int(file[-5]) : 4 * int(file[-5]) + 4] = True
        assert np.array_equal(lungs, expected), file
    assert data.masks is None and not len(data.skipped)
    again, _ = read(root)
    assert np.array_equal(again.lungs, data.lungs) and again.fingerprint == data.fingerprint
    import pickle

    assert np.array_equal(pickle.loads(pickle.dumps(data)).lungs, data.lungs)
    (root / "COVID/masks/0.png").unlink()
    part, notes = read(root)
    assert (
        part.lungs is None and "7 of 8 images have a lung mask" in notes and len(part) == 8 and len(part.skipped) == 7
    )


def test_masks_of_two_kinds_and_masks_named_by_their_files(folder):
    data, notes = read(folder("train/a/images/", "train/a/lung masks/", "train/a/infection masks/", "train/b/images/"))
    assert len(data) == 8 and data.lungs is None and data.masks is None and len(data.skipped) == 8
    assert "4 of 8 images have a lung mask" in notes and "4 of 8 images have a lesion mask" in notes
    more, _ = read(folder("train/b/lung masks/", "train/b/infection masks/"))
    assert more.lungs.shape == more.masks.shape == (8, 16, 16)


def test_a_mask_that_cannot_be_read_leaves_those_of_the_other_kind(folder):
    sets = [f"train/{name}/{kind}/" for name in "ab" for kind in ("images", "lung masks", "infection masks")]
    root = folder(*sets)
    next((root / "train/a/lung masks").iterdir()).write_bytes(b"no picture")
    data, notes = read(root)
    assert data.lungs is None and data.masks is not None
    assert "no lung mask is used" in notes and "8 of 8 images have a lesion mask" in notes


def test_a_mask_beside_its_image_by_name(folder):
    data, _ = read(folder("a/1.png", "a/1_mask.png", "b/2.png", "b/2_mask.png", "b/face_mask.png"))
    assert data.table["file"].tolist() == ["a/1.png", "b/2.png", "b/face_mask.png"] and data.lungs is None


@pytest.mark.parametrize("mask", ["a/mask_1", "a/1-lung-mask", "a/1_seg", "a/1_gt", "a/1 label"])
def test_masks_beside_their_images_by_other_names(folder, mask):
    data, notes = read(folder("a/1.png", "b/2.png", f"{mask}.png", mask.replace("a/", "b/").replace("1", "2") + ".png"))
    assert data.table["file"].tolist() == ["a/1.png", "b/2.png"] and data.lungs is not None
    assert "2 of 2 images have a lung mask" in notes


@pytest.mark.parametrize("masks", ["masks/C", "C/labels", "C/ground truth", "C/GT", "C/segmentation_masks"])
def test_folders_of_masks_by_other_names(folder, masks):
    images = "images/C" if masks.startswith("masks") else "C/images"
    data, _ = read(folder(*both(images, masks)))
    assert data.classes == TWO and len(data) == 8 and data.lungs is not None


def test_class_and_lungs_of_montgomerys_own_layout(folder):
    names = ["MCUCXR_0001_0", "MCUCXR_0002_0", "MCUCXR_0104_1", "MCUCXR_0108_1"]
    root = folder(*(f"{kind}/{name}.png" for kind in ("images", "masks") for name in names))
    data, notes = read(root)
    assert data.classes == ("normal", "tuberculosis") and data.labels.tolist() == [0, 0, 1, 1]
    assert data.lungs is not None and data.table["patient_known"].all() and "read from the file names" in notes
    wrapped = root.rename(root.parent / "y").parent
    assert read(wrapped / "y")[0].labels.tolist() == [0, 0, 1, 1]


# -- links and names --------------------------------------------------------------------------------


def test_one_place_behind_two_class_folders_is_refused(folder):
    root = folder("place/NORMAL/", "data/train/PNEUMONIA/", "data/test/PNEUMONIA/")
    for part in ("train", "test"):
        (root / "data" / part / "NORMAL").symlink_to(root / "place" / "NORMAL")
    with pytest.raises(
        ValueError, match="test/NORMAL holds no images: it is a link to train/NORMAL, which is read already"
    ):
        load(f"folder:{root / 'data'}", 16)


def test_files_of_two_splits_that_are_one_image_are_told(folder):
    root = folder("train/a/", "train/b/", "test/a/", "test/b/")
    (root / "test/a/0.png").unlink()
    (root / "test/a/0.png").symlink_to(root / "train/a/1.png")
    (root / "test/b/0.png").write_bytes((root / "train/b/0.png").read_bytes())
    assert "4 images are in more than one split" in read(root)[1]


def test_a_class_folder_without_the_splits_of_the_others_is_refused_with_the_reason(folder):
    with pytest.raises(ValueError, match="class folder .*B can be used.*B/0.png: not in one of the folders train, val"):
        read(folder("A/train/", "A/test/", "B/"))


def test_links_that_lead_back_and_links_to_another_split(folder):
    root = folder("train/a/", "train/b/")
    (root / "train/a/back").symlink_to(root)
    (root / "again").symlink_to(root)
    (root / "test").symlink_to(root / "train")
    data, notes = read(root)
    assert splits(data) == {"train": 8} and "test: a link to train, which is read already" in notes
    assert len(data.skipped) == 3 and str(audit(data)).count("a link to") == 3


@pytest.mark.skipif(os.name != "posix", reason="names are bytes there")
def test_a_folder_name_that_is_not_utf_8_is_named(folder):
    root = folder("a/", "b/")
    os.mkdir(os.fsencode(root) + b"/Neumon\xeda")
    with open(os.fsencode(root) + b"/Neumon\xeda/1.png", "wb") as out:
        out.write((root / "a/1.png").read_bytes())
    data, notes = read(root)
    assert data.classes == ("a", "b") and r"Neumon\udceda': the name is not valid UTF-8; rename it" in notes


# -- files of other kinds ---------------------------------------------------------------------------


def test_images_are_known_by_their_content_and_nothing_vanishes(folder):
    root = folder("a/1.png", "b/2.png")
    for name, kind in {"a.jfif": "JPEG", "b.jpe": "JPEG", "c": "PNG", "d.IMG": "TIFF", "e.PNG.bak": "PNG"}.items():
        Image.open(root / "a/1.png").save(root / "a" / name, kind)
    others = {
        "b/scan.heic": b"\0\0\0\x20ftypheic" + bytes(99),
        "b/volume.nii": bytes(400),
        "b/more.zip": b"PK\x03\x04" + bytes(99),
        "labels.csv": b"file,label\n2.png,b\n",
        "README.md": b"# My images\n",
        "b/Thumbs.db": bytes(99),
        "b/.DS_Store": bytes(99),
        "b/.ipynb_checkpoints/2.png": b"x",
        "__MACOSX/b/._2.png": b"x",
    }
    for name, content in others.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    data, notes = read(root)
    assert data.counts().loc["all"].tolist() == [6, 1, 7]
    assert set(data.table["extension"]) == {".png", ".jfif", ".jpe", "", ".img", ".bak"}  # none is DICOM
    reasons = dict(data.skipped.to_numpy().tolist())
    assert list(reasons) == ["README.md", "b/more.zip", "b/scan.heic", "b/volume.nii", "labels.csv"]
    assert reasons["README.md"] == "a document, not an image" and "unpack" in reasons["b/more.zip"]
    assert "export it as PNG" in reasons["b/scan.heic"] and "export it as PNG" in reasons["b/volume.nii"]
    assert "3 files" in notes and "Tables are not read (labels.csv)" in notes
    shown = str(audit(data))
    assert all(name in shown for name in reasons) and "scan.heic" in audit(data)._repr_html_()


def test_labels_in_a_table_are_refused_with_the_remedy(folder):
    root = folder("images/1.png", "images/2.png")
    (root / "labels.csv").write_text("file,label\n1.png,normal\n")
    with pytest.raises(ValueError, match="no class folders.*labels in a table are not read: sort the images"):
        read(root)


# -- what file names tell ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file, patient, label",
    [
        ("00002658_001.png", "NIH-2658", ""),
        ("a/00002658_000.png", "NIH-2658", ""),
        ("MCUCXR_0001_0.png", "MCUCXR_0001", "normal"),
        ("CHNCXR_0400_1.png", "CHNCXR_0400", "tuberculosis"),
        ("0004cfab-14fd-4e49-80ba-63a80b6bddd6.png", "RSNA-0004cfab-14fd-4e49-80ba-63a80b6bddd6", ""),
        ("person1_virus_6 (1).jpeg", "virus-1", "pneumonia"),
        ("person1_virus_6 - Copy (2).jpeg", "virus-1", "pneumonia"),
        ("IM-0115-0001 copy.jpeg", "IM-115", "normal"),
        ("train/patient00001/study1/view1_frontal.jpg", "patient00001", ""),
        ("files/p10/p10000032/s50414267/02aa804e.jpg", "p10000032", ""),
        ("sub-S03047/ses-E07985/mod-rx/x.png", "sub-S03047", ""),
        ("CXR1_1_IM-0001-3001.png", "Indiana-CXR1", ""),
        ("1_IM-0001-4001.dcm.png", "Indiana-CXR1", ""),  # Kaggle's copy
        ("mcucxr_0001_1.PNG", "MCUCXR_0001", "tuberculosis"),
        ("0004CFAB-14FD-4E49-80BA-63A80B6BDDD6.dcm", "RSNA-0004cfab-14fd-4e49-80ba-63a80b6bddd6", ""),
        ("patient00001_study1_view1.jpg", "patient00001", ""),
        ("files/p10/p10000032/s50414267.jpg", "p10000032", ""),
        ("sub-S03047_ses-E07985_cr.png", "sub-S03047", ""),
        ("person1_virus_6 - Kopie.jpeg", "virus-1", "pneumonia"),
        ("Copy of person1_virus_6.jpeg", "virus-1", "pneumonia"),
        ("IM-0115-0001~2.jpeg", "IM-115", "normal"),
        ("20200101_001.png", None, None),
        ("COVID-12.png", None, None),
        ("Tuberculosis-3.png", None, None),
        ("1.png", None, None),
        ("MCUCXR_0001_2.png", None, None),
    ],
)
def test_names_of_known_sets(file, patient, label):
    name = read_name(file)
    assert (name and name.patient, name and name.label) == (patient, label)


def test_patients_are_known_file_by_file(folder):
    """One file with a foreign name must not make the patients of all others unknown."""
    paths = [f"NORMAL/IM-{i:04d}-{j:04d}.png" for i in range(1, 13) for j in range(4)]
    paths += [f"PNEUMONIA/person{i}_bacteria_{9 * i + j}.png" for i in range(1, 13) for j in range(4)]
    root = folder(*paths)
    before, notes = read(root)
    assert before.table["patient_known"].all() and not notes
    for name in ("person1_bacteria_9 (1).png", "holiday.png"):
        (root / "PNEUMONIA" / name).write_bytes((root / "PNEUMONIA/person1_bacteria_9.png").read_bytes())
    after, notes = read(root)
    assert after.unknown_patients == 1 and "The patient of 1 of 98 images is not known" in notes
    table = after.table.set_index("file")
    assert table.loc["PNEUMONIA/person1_bacteria_9 (1).png", "patient"] == "bacteria-1"
    assert (table.loc["PNEUMONIA/holiday.png", ["series", "key_number"]] == "").all()
    truth = dict(zip(before.table["file"], before.patients, strict=True))
    assert {file: table.loc[file, "patient"] for file in truth} == truth
    for seed in range(5):
        with pytest.warns(UserWarning, match="patient of 1 of 98"):
            parts = split(after, seed=seed)
        assert sum(len(set(part.patients)) for part in parts) == 25
    assert "1 image of 98 the patient is not known" in " ".join(audit(after).findings)


def test_a_name_that_contradicts_its_folder_is_told(folder):
    _, notes = read(folder("normal/MCUCXR_0001_0.png", "normal/MCUCXR_0104_1.png", "tuberculosis/MCUCXR_0108_1.png"))
    assert "1 file name tells another class than its folder" in notes


def test_the_stand_in_for_lung4_tells_5840_patients(real_root, tmp_path):
    """Names tell the patients of the children's pictures; those of the two other sets do not."""
    make = real_root.parent / "make_sets.py"
    if not make.exists():
        pytest.skip("needs make_sets.py beside the real images")
    subprocess.run([sys.executable, make, tmp_path / "sets"], check=True, stdout=subprocess.DEVNULL)
    data, notes = read(tmp_path / "sets" / "lung4")
    assert len(data) == 7108 and data.unknown_patients == 1268 and "1,268 of 7,108" in notes

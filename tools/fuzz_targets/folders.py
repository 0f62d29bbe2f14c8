"""Folders of images: names of every kind, links that lead nowhere, pipes, and files of 30 GB."""

from __future__ import annotations

import os
import random
from pathlib import Path

from .damage import packed, unpacked
from .dicom import dicom_files, make_dicom
from .images import image_files, make_image

_PARTS = (
    "train",
    "test",
    "val",
    "Train",
    "normal",
    "NORMAL",
    "Normal",
    "pneumonia",
    "a",
    "b",
    "a.b",
    "x y",
    "é",
    "e\u0301",
    "\ud800",
    "\udcff\udcfe",
    "new\nline",
    "(",
    "[a-z]*",
    "__MACOSX",
    ".hidden",
    "x" * 200,
    "chest_xray",
    "c'\"<b>",
    "-o",
    "con",
    " ",
    "\t",
    "{0}",
    "%s",
    "1",
    "0",
)
_NAMES = (
    "a.png",
    "b.png",
    "c.jpeg",
    "A.PNG",
    "IM-0001-0001.jpeg",
    "person1_virus_1.jpeg",
    "person" + "9" * 200 + "_virus_1.png",
    "person٣_bacteria_1.png",
    "x.dcm",
    "IM000001",
    "1.2.840",
    "DICOMDIR",
    "x.heic",
    ".png",
    "é.png",
    "\udcff.png",
    "n\nn.png",
    "x" * 250 + ".png",
    "notes.txt",
    "z.gif",
    "t.tif",
    "Thumbs.db",
    "patient1.png",
    "patient2.png",
)
_PATTERNS = (r"patient(\d+)", "(", "", "(.*)", r"(\d)(\d)", r"([a-z]+)$", "(?P<x>a)", "\\", "(a*)*b(c)", 7)


def make_folder(rng: random.Random) -> bytes:
    """Draw a folder of images."""
    classes = rng.sample(_PARTS, rng.randrange(1, 4))
    splits = rng.sample(("train", "test", "val", "Training", "a"), rng.randrange(0, 3)) or [""]
    images = image_files()[:8]
    entries = []
    if rng.random() < 0.6:  # something to load, so that the rest of it is looked at
        entries = [
            [[*filter(None, (split, name)), "good.png"], "good", images[0]] for split in splits for name in classes
        ]
    for _ in range(rng.randrange(1, 9)):
        path = [part for part in (rng.choice(splits), rng.choice(classes)) if part]
        if rng.random() < 0.15:
            path = [rng.choice(_PARTS) for _ in range(rng.randrange(0, 5))]
        kind = rng.choice(
            ("good",) * 6 + ("bad", "dicom", "empty", "folder", "link", "loop", "nowhere", "fifo", "zero", "sparse")
        )
        content = b""
        if kind in ("good", "dicom"):
            content = rng.choice(images if kind == "good" else dicom_files())
        elif kind == "bad":
            content = make_image(rng) if rng.random() < 0.9 else make_dicom(rng)
        entries.append([[*path, rng.choice(_NAMES)], kind, content])
    options = {"patient": rng.choice(_PATTERNS)} if rng.random() < 0.2 else {}
    return packed(
        entries=entries,
        options=options,
        size=16 if rng.random() < 0.93 else rng.choice((8, 4097, 0, "16", None, True)),
        audit=rng.random() < 0.05,
    )


def run_folder(case: bytes, folder: Path) -> None:
    """Load it."""
    import cxrlib

    plan = unpacked(case)
    root = folder / "my-images"
    root.mkdir()
    for parts, kind, content in plan["entries"]:
        path = os.fsencode(root)
        try:
            for part in parts[:-1]:
                path += b"/" + os.fsencode(part.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape"))
            os.makedirs(path, exist_ok=True)
            path += b"/" + os.fsencode(parts[-1])
            match kind:
                case "folder":
                    os.mkdir(path)
                case "link":
                    os.symlink(b"../a/a.png", path)
                case "loop":
                    os.symlink(os.fsencode(root), path)
                case "nowhere":
                    os.symlink(b"/nowhere/at/all.png", path)
                case "fifo":
                    os.mkfifo(path)
                case "zero":
                    os.symlink(b"/dev/zero", path)
                case "sparse":
                    with open(path, "wb") as file:
                        file.truncate(30 * 2**30)
                case _ if not os.path.lexists(path):  # no pipe, which would wait for a reader
                    Path(os.fsdecode(path)).write_bytes(content)
        except OSError:  # a name that this disk does not take, or one that is taken
            continue
    found = cxrlib.load(f"folder:{root}", plan["size"], progress=False, **plan["options"])
    assert len(found) and found._repr_html_() and str(found)
    if plan["audit"]:
        assert str(cxrlib.audit(found))


_FOLDERS = (
    *("train", "Training_Set", "test", "prueba", "val", "dev", "测试", "01_train", "stage_2_test_images", "x"),
    *("NORMAL", "normal ", "Neumonía", "Neumoni\u0301a", "0", "1", "COVID", "patient00001", "study1", "A", "B"),
    *("images", "masks", "lung masks", "infection masks", "leftMask", "CXR_png", "segmentations", "chest_xray"),
)
_KNOWN = (
    *("00002658_001", "MCUCXR_0001_0", "MCUCXR_0104_1", "CHNCXR_0400_1_mask", "IM-0115-0001", "person1_virus_6 (1)"),
    *("0004cfab-14fd-4e49-80ba-63a80b6bddd6", "CXR1_1_IM-0001-3001", "1", "1_mask", "mask", "_mask", "a - Copy (2)"),
)


def make_layout(rng: random.Random) -> bytes:
    """Make whole trees: every file a good picture, under a random product of folders that stand for something."""
    levels = [rng.sample(_FOLDERS, rng.randrange(1, 4)) for _ in range(rng.randrange(0, 4))]
    image = image_files()[0]
    entries = []
    for _ in range(rng.randrange(1, 14)):
        path = [rng.choice(level) for level in levels if rng.random() < 0.92]
        kind = "good" if rng.random() < 0.93 else rng.choice(("loop", "link", "folder", "bad"))
        content = b"a,b\n" if kind == "bad" else image + rng.randbytes(3)
        name = rng.choice(_KNOWN) + rng.choice((".png", ".jfif", "", ".csv" if kind == "bad" else ".PNG"))
        entries.append([[*path, name], kind, content])
    return packed(entries=entries, options={}, size=16, audit=False)


def run_layout(case: bytes, folder: Path) -> None:
    """Every file is an image, a mask, or listed as skipped: none vanishes."""
    import cxrlib

    run_folder(case, folder)
    found = cxrlib.load(f"folder:{folder / 'my-images'}", 16, progress=False)
    told = {*found.table["file"], *found.skipped["file"]}
    there = {p.relative_to(folder / "my-images").as_posix() for p in (folder / "my-images").rglob("*") if p.is_file()}
    lost = {rel for rel in there - told if not any(rel.startswith(f"{folder}/") for folder in told)}
    assert not lost or found.lungs is not None or found.masks is not None, sorted(lost)


def make_name(rng: random.Random) -> bytes:
    """Make a path of folders and file names that nearly stand for something."""
    parts = [rng.choice((*_FOLDERS, *_PARTS[:20])) for _ in range(rng.randrange(0, 4))]
    name = list(rng.choice((*_KNOWN, *_NAMES)))
    for _ in range(rng.randrange(0, 4)):
        name.insert(rng.randrange(len(name) + 1), rng.choice("0123456789_-. ()aZé٣²\udcff\0/"))
    return "/".join([*parts, "".join(name)]).encode("utf-8", "surrogatepass")


def run_name(case: bytes, folder: Path) -> None:
    """Read what the folders and the name of a path say."""
    from cxrlib.data.layout import split_of
    from cxrlib.data.names import read_name

    text = case.decode("utf-8", "surrogatepass")
    assert all(split_of(part) in (None, "train", "val", "test") for part in text.split("/"))
    found = read_name(text)
    assert found is None or found.patient

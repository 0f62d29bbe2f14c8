"""load: layouts, file names, bad files, and the cache."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrlib.data import cache, load
from cxrlib.data.decode import decode
from cxrlib.data.names import read_name

KERMANY = {
    "train/NORMAL": ["IM-0115-0001.jpeg", "NORMAL2-IM-0381-0001.jpeg", "NORMAL2-IM-0381-0001-0002.jpeg"],
    "train/PNEUMONIA": ["person78_bacteria_378.jpeg", "person78_virus_140.jpeg", "person1_bacteria_1.jpeg"],
    "test/NORMAL": ["IM-0001-0001.jpeg"],
    "test/PNEUMONIA": ["person1_virus_6.jpeg"],
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CXR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("CXR_DATA_DIR", raising=False)


def picture(seed, size=(20, 24), mode="L"):
    rng = np.random.default_rng(seed)
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], len(mode))
    return Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8), mode=None)


def write(root, layout, start=0):
    for folder, names in layout.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            start += 1
            picture(start).save(root / folder / name)
    return root


def as_bytes(image, kind="PNG", **options):
    import io

    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# -- file names and layouts -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, patient, number, subtype",
    [
        ("person78_bacteria_378.jpeg", "bacteria-78", "person-78", "bacterial"),
        ("person78_virus_140_2.jpeg", "virus-78", "person-78", "viral"),
        ("IM-0381-0001.jpeg", "IM-381", "IM-381", "normal"),
        ("NORMAL2-IM-0381-0001-0002.jpeg", "NORMAL2-IM-381", "IM-381", "normal"),
        ("a/b/BACTERIA-1008087-0001.jpeg", "bacteria-1008087", "bacteria-1008087", "bacterial"),
    ],
)
def test_kermany_names(name, patient, number, subtype):
    parsed = read_name(name)
    assert (parsed.patient, parsed.key_number, parsed.subtype) == (patient, number, subtype)


@pytest.mark.parametrize(
    "name", ["scan1.png", "person_bacteria_1.jpeg", "xIM-1-1.jpeg", "person1_bacteria_1 (not a copy).jpeg"]
)
def test_other_names_tell_no_patient(name):
    assert read_name(name) is None


def test_folder_in_kermanys_layout(tmp_path):
    d = load(f"folder:{write(tmp_path / 'x', KERMANY)}", 16)
    assert d.classes == ("normal", "pneumonia") and d.images.shape == (8, 1, 16, 16) and d.name == "folder:x"
    table = d.table.set_index("file")
    row = table.loc["train/PNEUMONIA/person78_virus_140.jpeg"]
    assert row["split"] == "train" and row["class"] == "pneumonia" and row["subtype"] == "viral"
    assert row["patient"] == "virus-78" and row["key_number"] == "person-78" and row["patient_known"]
    assert (row["width"], row["height"], row["extension"]) == (20, 24, ".jpeg")
    assert row["bytes"] == (tmp_path / "x" / row.name).stat().st_size
    assert len(set(d.patients)) == 7 and d.counts().loc["test", "total"] == 2


def test_pixels_are_those_of_the_files(tmp_path):
    root = tmp_path / "x"
    for k, value in enumerate((0, 90, 255)):
        (root / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        Image.new("L", (30, 20), value).save(root / "ab"[k % 2] / f"{k}.png")
    d = load(f"folder:{root}", 16)
    assert {f: int(i.max()) for f, i in zip(d.table["file"], d.images, strict=True)} == {
        "a/0.png": 0,
        "a/2.png": 255,
        "b/1.png": 90,
    }
    assert (d.images == d.images[:, :, :1, :1]).all()


@pytest.mark.parametrize("val", ["val", "valid", "Validation"])
def test_split_folders_by_their_usual_names(tmp_path, val):
    write(tmp_path / "x", {f"{s}/{c}": ["1.png"] for s in ("Train", "TEST", val) for c in ("A", "b")})
    d = load(tmp_path / "x", 16)  # a path works, too
    assert d.classes == ("a", "b") and sorted(set(d.table["split"])) == ["test", "train", "val"]


def test_classes_without_splits(tmp_path):
    write(tmp_path / "x", {"zebra": ["1.png"], "normal": ["1.png", "2.png"], "covid": ["3.png"]})
    d = load(f"folder:{tmp_path / 'x'}", 16)
    assert d.classes == ("normal", "covid", "zebra") and set(d.table["split"]) == {"all"}
    assert not d.table["patient_known"].any() and len(set(d.patients)) == 4 and "key_number" not in d.table


def test_nested_copy_and_leftovers_do_not_count_twice(tmp_path):
    root = write(tmp_path / "chest_xray", KERMANY)
    write(root / "chest_xray", KERMANY)
    write(root, {"__MACOSX/chest_xray/train/NORMAL": ["IM-9-1.jpeg"], ".hidden/NORMAL": ["IM-8-1.jpeg"]})
    (root / "train/NORMAL/._IM-0115-0001.jpeg").write_bytes(b"leftover")
    (root / "train/NORMAL/.DS_Store").write_bytes(b"leftover")
    (root / "train/NORMAL/Thumbs.db").write_bytes(b"leftover")
    for d in (load(f"folder:{root}", 16), load("pneumonia", 16, root=root), load("pneumonia", 16, root=tmp_path)):
        assert len(d) == 8 and len(d.skipped) == 0, d.name


def test_same_names_in_different_folders_are_different_images(tmp_path):
    root = write(tmp_path / "x", {"a/site1": ["1.png"], "a/site2": ["1.png"], "b": ["1.png"]})
    assert len(load(f"folder:{root}", 16)) == 3


def test_wrapped_folder(tmp_path):
    write(tmp_path / "x" / "versions" / "chest_xray", KERMANY)
    assert len(load(f"folder:{tmp_path / 'x'}", 16)) == 8


def test_patient_pattern(tmp_path):
    root = write(tmp_path / "x", {"a": ["p1_1.png", "p1_2.png", "p2_1.png"], "b": ["p3_1.png", "other.png"]})
    d = load(f"folder:{root}", 16, patient=r"p(\d+)_")
    assert d.table.set_index("file")["patient"].to_dict() == {
        "a/p1_1.png": "1",
        "a/p1_2.png": "1",
        "a/p2_1.png": "2",
        "b/other.png": "b/other.png",
        "b/p3_1.png": "3",
    }
    assert d.table["patient_known"].sum() == 4
    for bad, words in ((r"p\d+", "exactly one group"), (r"(", "regular expression"), (r"q(\d)", "matches no file")):
        with pytest.raises(ValueError, match=words):
            load(f"folder:{root}", 16, patient=bad)


def test_pneumonia3_takes_the_class_from_the_name(tmp_path):
    write(tmp_path, KERMANY)
    (tmp_path / "train/PNEUMONIA/unnamed.jpeg").write_bytes(as_bytes(picture(99), "JPEG"))
    with pytest.warns(UserWarning, match="unnamed.jpeg.*bacteria or virus"):
        d = load("pneumonia3", 16, root=tmp_path)
    assert d.classes == ("normal", "bacterial", "viral") and np.bincount(d.labels).tolist() == [4, 2, 2]
    assert (np.array(d.classes)[d.labels] == d.table["class"]).all()


def test_pneumonia4_and_lung4_by_keywords(tmp_path):
    four = {
        f"Curated X-Ray Dataset/{c}": ["1.jpg"]
        for c in ("COVID-19", "Normal", "Pneumonia-Bacterial", "Pneumonia-Viral")
    }
    write(tmp_path / "3-kinds-of-pneumonia", four)
    d = load("pneumonia4", 16, root=tmp_path)
    assert dict(zip(d.table["file"].str.split("/").str[1], d.table["class"], strict=True)) == {
        "COVID-19": "covid-19",
        "Normal": "normal",
        "Pneumonia-Bacterial": "bacterial",
        "Pneumonia-Viral": "viral",
    }
    lung = {
        f"{s}/{c}": ["1.png"]
        for s in ("train", "val", "test")
        for c in ("COVID19", "NORMAL", "PNEUMONIA", "TURBERCULOSIS")
    }
    write(tmp_path / "any" / "nesting", lung)
    d = load("lung4", 16, root=tmp_path / "any")
    assert (
        d.classes == ("normal", "pneumonia", "covid-19", "tuberculosis") and np.bincount(d.labels).tolist() == [3] * 4
    )
    assert d.counts()["total"].tolist() == [4, 4, 4]


# -- where the files are ----------------------------------------------------------------------------


def test_environment_variable_names_the_set_or_its_parent(tmp_path, monkeypatch):
    write(tmp_path / "all" / "chest-xray-pneumonia" / "chest_xray", KERMANY)
    for place in ("all", "all/chest-xray-pneumonia", "all/chest-xray-pneumonia/chest_xray"):
        monkeypatch.setenv("CXR_DATA_DIR", str(tmp_path / place))
        assert len(load("pneumonia", 16)) == 8


def fake_kagglehub(monkeypatch, download):
    monkeypatch.setitem(sys.modules, "kagglehub", types.SimpleNamespace(dataset_download=download))


def test_download_comes_last_and_another_set_is_not_mistaken(tmp_path, monkeypatch):
    lung = {f"train/{c}": ["1.png"] for c in ("COVID19", "NORMAL", "PNEUMONIA", "TUBERCULOSIS")}
    monkeypatch.setenv("CXR_DATA_DIR", str(write(tmp_path / "lung", lung)))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "hub"))
    asked = []

    def download(handle):
        asked.append(handle)
        return str(write(tmp_path / "download", KERMANY))

    fake_kagglehub(monkeypatch, download)
    assert len(load("lung4", 16)) == 4 and not asked
    assert len(load("pneumonia", 16)) == 8 and asked == ["paultimothymooney/chest-xray-pneumonia"]


def test_an_earlier_download_needs_no_network(tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    base = tmp_path / "datasets/paultimothymooney/chest-xray-pneumonia"
    write(base / "versions/2/chest_xray", KERMANY)

    def offline(handle):
        raise ConnectionError("no network")

    fake_kagglehub(monkeypatch, offline)
    with pytest.raises(FileNotFoundError):  # not marked as complete: a download that was cut off
        load("pneumonia", 16)
    (base / "2.complete").touch()
    assert len(load("pneumonia", 16)) == 8


def test_no_data_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    monkeypatch.setenv("CXR_DATA_DIR", str(tmp_path / "absent"))

    def offline(handle):
        raise ConnectionError("no route to host\nlong trace")

    fake_kagglehub(monkeypatch, offline)
    with pytest.raises(FileNotFoundError) as caught:
        load("lung4", 16)
    text = str(caught.value)
    for words in (
        "CXR_DATA_DIR",
        "root=",
        "jtiptj/chest-xray-pneumoniacovid19tuberculosis",
        "no route",
        "not a folder",
    ):
        assert words in text
    assert "long trace" not in text


@pytest.mark.parametrize(
    "name, options, error, words",
    [
        ("pnuemonia", {}, ValueError, "lung4, folder:PATH, got 'pnuemonia'. Did you mean 'pneumonia'"),
        (7, {}, ValueError, "Unknown data set: give one of phantom.*got 7"),
        ("pneumonia", {"n": 5}, ValueError, "no option n"),
        ("folder:x", {"seed": 5}, ValueError, "no option seed.*patient"),
        ("phantom", {"sed": 5}, ValueError, "no option sed.*seed"),
        ("phantom", {"root": "x"}, ValueError, "root: not used"),
        ("pneumonia", {"size": 0}, ValueError, "size.*0"),
        ("pneumonia", {"size": 22.5}, ValueError, "size"),
        ("pneumonia", {"root": "/nowhere/at/all"}, FileNotFoundError, "not a folder"),
        ("folder:/nowhere/at/all", {}, FileNotFoundError, "does not exist"),
        ("folder:", {}, ValueError, "needs a path"),
    ],
)
def test_wrong_calls_are_explained(name, options, error, words):
    with pytest.raises(error, match=words):
        load(name, **options)


def test_a_bare_path_points_to_folder(tmp_path):
    with pytest.raises(ValueError, match="write 'folder:"):
        load(str(tmp_path))


def test_root_of_another_set(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not hold.*normal, pneumonia"):
        load("pneumonia", root=tmp_path)


def test_folder_without_classes(tmp_path):
    write(tmp_path, {".": ["1.png", "2.png"]})
    with pytest.raises(ValueError, match="no class folders"):
        load(f"folder:{tmp_path}")


# -- files that cannot be used ---------------------------------------------------------------------


def test_bad_images_are_skipped_counted_and_listed(tmp_path):
    root = write(tmp_path / "x", {"a": ["1.png", "2.png"], "b": ["3.png"]})
    bad = {"animated.gif": as_bytes(picture(1), "GIF", save_all=True, append_images=[picture(2)]), "empty.jpeg": b""}
    bad |= {"text.png": b"404: not found", "half.jpeg": as_bytes(picture(3), "JPEG")[:300]}
    for name, content in bad.items():
        (root / "a" / name).write_bytes(content)
    with pytest.warns(UserWarning) as caught:
        d = load(f"folder:{root}", 16)
    assert len(caught) == 2 and "patient of 3 of 3 images is not known" in str(caught[0].message)
    assert f"{len(bad)} files" in str(caught[1].message) and "a/animated.gif" in str(caught[1].message)
    assert {w.filename for w in caught} == {__file__}
    assert d.table["file"].tolist() == ["a/1.png", "a/2.png", "b/3.png"] and len(d.images) == 3
    assert d.skipped["file"].tolist() == sorted(f"a/{name}" for name in bad)
    assert all(d.skipped["reason"].str.len() > 10)
    with pytest.warns(UserWarning):  # the same from the cache
        again = load(f"folder:{root}", 16)
    assert again.skipped.equals(d.skipped) and np.array_equal(again.images, d.images)


def test_unreadable_names_and_links(tmp_path):
    root = write(tmp_path / "x", {"a": ["1.png"], "b": ["3.png"]})
    (root / "a" / "gone.png").symlink_to(root / "nowhere.png")
    (root / "a" / "around").symlink_to(root)
    (root / "top.png").write_bytes((root / "a/1.png").read_bytes())
    if sys.platform == "linux":
        with open(os.fsencode(root) + b"/a/\xff.png", "wb") as out:
            out.write((root / "a/1.png").read_bytes())
    with pytest.warns(UserWarning):
        d = load(f"folder:{root}", 16)
    assert len(d) == 2
    assert {"a link to a file that does not exist", "not inside a class folder"} <= set(d.skipped["reason"])


def test_only_bad_images(tmp_path):
    root = tmp_path / "x"
    for folder in ("a", "b"):
        (root / folder).mkdir(parents=True)
        (root / folder / "1.png").write_bytes(b"")
    with pytest.raises(ValueError, match="None of the 2 images.*a/1.png: the file is empty"):
        load(f"folder:{root}")
    picture(1).save(root / "a" / "1.png")
    with pytest.raises(ValueError, match="None of the 1 images in the class folder .*b can be used"):
        load(f"folder:{root}")


@pytest.mark.parametrize("kind", ["folder", "pneumonia"])
def test_empty_class_folder(tmp_path, kind):
    root = write(tmp_path / "x", KERMANY)
    for f in (root / "test/NORMAL").iterdir():
        f.unlink()
    with pytest.raises(ValueError, match="class folder .*test/NORMAL holds no images"):
        load(f"folder:{root}") if kind == "folder" else load(kind, root=root)


# -- cache ------------------------------------------------------------------------------------------


def entries():
    return sorted(p.name for p in (cache.cache_dir() / "entries").iterdir() if not p.name.endswith(".lock"))


def test_second_load_decodes_nothing(tmp_path, monkeypatch):
    root = write(tmp_path / "x", KERMANY)
    first = load("pneumonia", 16, root=root)
    monkeypatch.setattr(cache, "read_picture", None)
    second = load("pneumonia", 16, root=root)
    three = load("pneumonia3", 16, root=root)
    assert np.array_equal(first.images, second.images) and first.table.equals(second.table)
    assert first.fingerprint == second.fingerprint != three.fingerprint
    assert len(entries()) == 1 and isinstance(second._images, np.memmap)


def test_unchanged_files_are_not_read_again(tmp_path, monkeypatch):
    root = write(tmp_path / "x", KERMANY)
    monkeypatch.setattr(cache, "_SETTLED_NS", -1)
    first = load(f"folder:{root}", 16)
    monkeypatch.setattr(Path, "read_bytes", lambda file: pytest.fail(f"{file} was read again"))
    assert load(f"folder:{root}", 16).fingerprint == first.fingerprint


def test_a_copy_elsewhere_uses_the_same_entry(tmp_path):
    a = load(f"folder:{write(tmp_path / 'a' / 'x', KERMANY)}", 16)
    b = load(f"folder:{write(tmp_path / 'b' / 'x', KERMANY)}", 16)
    assert a.fingerprint == b.fingerprint and len(entries()) == 1
    load(f"folder:{tmp_path / 'b' / 'x'}", 24)
    assert len(entries()) == 2


@pytest.mark.parametrize("change", ["content", "same size and time", "added", "deleted", "renamed"])
def test_any_change_invalidates(tmp_path, change):
    root = write(tmp_path / "x", {"a": ["1.bmp", "2.bmp"], "b": ["3.bmp"]})
    before = load(f"folder:{root}", 16)
    old, state = root / "a/1.bmp", (root / "a/1.bmp").stat()
    if change in ("content", "same size and time"):
        picture(77).save(old)
    if change == "same size and time":
        assert old.stat().st_size == state.st_size
        os.utime(old, ns=(state.st_atime_ns, state.st_mtime_ns))
    if change == "added":
        picture(78).save(root / "b/9.bmp")
    if change == "deleted":
        old.unlink()
    if change == "renamed":
        old.rename(root / "b/1.bmp")
    after = load(f"folder:{root}", 16)
    assert after.fingerprint != before.fingerprint
    assert len(after) == {"added": 4, "deleted": 2}.get(change, 3)
    if "content" in change or "same" in change:
        expected, *_ = decode(old.read_bytes(), 16)
        assert np.array_equal(after.images[after.table["file"].tolist().index("a/1.bmp"), 0], expected)


def test_a_damaged_entry_is_built_again(tmp_path, monkeypatch):
    root, now = write(tmp_path / "x", KERMANY), time.time_ns()
    monkeypatch.setattr(cache.time, "time_ns", lambda: now + 10**10)  # files of ten seconds ago: digests are kept
    first = load(f"folder:{root}", 16)
    images = first.images.copy()
    file = cache.cache_dir() / "entries" / entries()[0] / "images.npy"
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content[:-100])
    assert np.array_equal(load(f"folder:{root}", 16).images, images)
    (file.parent / "sizes.json").write_text("[not json")
    assert np.array_equal(load(f"folder:{root}", 16).images, images)
    [table] = (cache.cache_dir() / "digests").iterdir()
    assert json.loads(table.read_text())
    table.write_text("\0")
    assert np.array_equal(load(f"folder:{root}", 16).images, images)


def test_pixels_in_memory_may_be_changed_without_harm(tmp_path):
    root = write(tmp_path / "x", KERMANY)
    load(f"folder:{root}", 16).images[:] = 0
    assert load(f"folder:{root}", 16).images.any()


def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch):
    root = write(tmp_path / "x", KERMANY)
    monkeypatch.setattr(cache, "digests", lambda root, files, progress: {f.rel: "0" * 32 for f in files})
    with pytest.raises(RuntimeError, match="changed while it was read"):
        load(f"folder:{root}", 16)
    assert entries() == []


def run(code, root, **env):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(root)], env={**os.environ, **env}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[1],
    )  # fmt: skip


SLOW = """
    import sys, time
    from cxrlib.data import cache, load
    fast = cache.read_picture
    def slow(content, size):
        time.sleep(0.2)
        return fast(content, size)
    cache.read_picture = slow
    print("ready", flush=True)
    print(load("folder:" + sys.argv[1], 16).fingerprint)
"""


def test_two_processes_at_once(tmp_path):
    root = write(tmp_path / "x", KERMANY)
    other = run(SLOW, root)
    assert other.stdout.readline() == "ready\n"
    here = load(f"folder:{root}", 16).fingerprint
    out, errors = other.communicate(timeout=120)
    assert other.returncode == 0, errors
    assert out.split() == [here] and len(entries()) == 1


def test_a_killed_build_leaves_nothing_in_the_way(tmp_path):
    root = write(tmp_path / "x", {"a": [f"{i}.png" for i in range(40)], "b": ["1.png"]})
    process = run(SLOW, root)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "cache").glob("entries/*.tmp-*/images.npy")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert [".tmp-" in e for e in entries()] == [True]
    other = write(tmp_path / "y", KERMANY)
    load(f"folder:{other}", 16)  # any later build clears what was left
    assert [".tmp-" in e for e in entries()] == [False]
    assert len(load(f"folder:{root}", 16)) == 41


def test_a_full_disk(tmp_path):
    resource = pytest.importorskip("resource")
    root = write(tmp_path / "x", {"a": [f"{i}.png" for i in range(20)], "b": ["1.png"]})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))  # no file may grow beyond: like a full disk
    try:
        with pytest.raises(OSError, match="is full.*CXR_CACHE_DIR"):
            load(f"folder:{root}", 128)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert entries() == [] and len(load(f"folder:{root}", 128)) == 21


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_what_is_no_ordinary_file_is_left_out(tmp_path):
    """A pipe would be waited for without end, a device or a file with holes would fill the memory."""
    place = tmp_path / "normal"
    place.mkdir()
    (place / "good.png").write_bytes(as_bytes(picture(1)))
    os.mkfifo(place / "pipe.png")
    os.mkfifo(place / "pipe")
    os.symlink("/dev/zero", place / "zero.png")
    with open(place / "holes.png", "wb") as file:
        file.truncate(2**40)
    with pytest.warns(UserWarning, match="3 files"):
        found = load(f"folder:{tmp_path}", 16, progress=False)
    assert len(found) == 1
    reasons = dict(zip(found.skipped["file"], found.skipped["reason"], strict=True))
    assert reasons == {
        "normal/pipe.png": "not an ordinary file",
        "normal/zero.png": "not an ordinary file",
        "normal/holes.png": "larger than 500 MB",
    }


def test_a_nested_set_may_have_a_class_of_its_own(tmp_path):
    for name in ("test/normal/a.png", "more/val/covid/b.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(as_bytes(picture(len(name))))
    found = load(f"folder:{tmp_path}", 16, progress=False)
    assert found.classes == ("normal", "covid") and len(found) == 2


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    root = write(tmp_path / "x", KERMANY)
    (tmp_path / "file").write_text("a file where a folder should be")
    monkeypatch.setenv("CXR_CACHE_DIR", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.warns(UserWarning, match="cannot be written.*CXR_CACHE_DIR") as caught:
        d = load(f"folder:{root}", 16)
        load(f"folder:{root}", 16)
    assert len(d) == 8 and len(caught) == 1 and cache.cache_dir().parent == tmp_path


def test_cache_folders_by_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("CXR_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_dir() == tmp_path / "xdg" / "cxrlib"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache.cache_dir() == tmp_path / "home" / ".cache" / "cxrlib"


def test_clear_cache(tmp_path):
    load(f"folder:{write(tmp_path / 'x', KERMANY)}", 16)
    assert cache.clear_cache() > 8 * 256 and not (cache.cache_dir() / "entries").exists()


# -- phantoms ---------------------------------------------------------------------------------------


def test_phantoms_are_made_once(monkeypatch):
    options = {"n": 24, "classes": ["normal", "bacterial"], "seed": 3, "workers": 1}
    first = load("phantom", 32, progress=False, **options)
    import cxrlib.phantom

    made = cxrlib.phantom.make_phantoms(size=32, progress=False, **options)
    monkeypatch.setattr(cxrlib.phantom, "make_phantoms", lambda **_: pytest.fail("made again"))
    monkeypatch.setattr(
        "cxrlib.data._load.inspect.signature", lambda _: types.SimpleNamespace(parameters=dict.fromkeys([*options]))
    )
    second = load("phantom", 32, progress=False, **options)
    for d in (first, second):
        assert np.array_equal(d.images, made.images) and np.array_equal(d.masks, made.masks)
        assert np.array_equal(d.lungs, made.lungs) and d.labels.tolist() == made.labels.tolist()
        assert d.classes == tuple(made.classes) and d.patients.tolist() == made.table["patient"].tolist()
        assert d.table.columns.tolist() == made.table.columns.tolist()
        for column in made.table:
            assert d.table[column].tolist() == made.table[column].tolist(), column
            assert d.table[column].dtype.kind == made.table[column].dtype.kind, column
    assert first.fingerprint == second.fingerprint


def test_phantom_options_name_the_entry():
    prints = [
        load("phantom", 32, progress=False, n=12, workers=1, **o).fingerprint
        for o in (
            {},
            {"seed": 1},
            {"confounder": {"marker": {"normal": 0.0, "pneumonia": 1.0}}},
            {"lesion_contrast": 0.5},
        )
    ]
    assert len(set(prints)) == 4 and prints[0] == load("phantom", 32, progress=False, n=12, workers=1).fingerprint


# -- the real images --------------------------------------------------------------------------------


def test_real_images(real_root):
    d = load(f"folder:{real_root}", 64, progress=False)
    counts = d.counts()
    assert counts.loc["train"].tolist() == [1341, 3875, 5216] and counts.loc["test"].tolist() == [234, 390, 624]
    series = d.where(split="train").table["series"].value_counts()
    assert series["IM"] == 597 and series["NORMAL2-IM"] == 744
    kept = set(cache.cache_dir().rglob("*.npy"))
    three = load("pneumonia3", 64, root=real_root, progress=False)
    assert set(cache.cache_dir().rglob("*.npy")) == kept, "the same files were decoded again for other classes"
    assert three.counts().loc["train"].tolist() == [1341, 2530, 1345, 5216]
    assert three.counts().loc["test"].tolist() == [234, 242, 148, 624]
    assert len(set(d.where(split="test").patients)) == 428 and len(d.skipped) == 0

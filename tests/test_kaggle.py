"""Kaggle's side of `load`, played by a server on this machine: the real kagglehub client asks it through a proxy."""

import base64
import hashlib
import io
import json
import os
import re
import threading
import time
import zipfile
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from cxrlib.data import SOURCES, load
from cxrlib.phantom import make_phantoms

MEGABYTE = 2**20  # kagglehub reads this much at a time: a shorter archive is never cut in the middle
LAYOUTS = {
    "chest-xray-pneumonia": {
        f"{top}/{split}/{folder}/{name}.jpeg": kind
        for top in ("chest_xray", "chest_xray/chest_xray")  # Kaggle's archive holds the set twice
        for split, number in (("train", 7), ("val", 8), ("test", 9))
        for folder, name, kind in (
            ("NORMAL", f"IM-000{number}-0001", 0),
            ("NORMAL", f"NORMAL2-IM-000{number}-0001-0001", 0),
            ("PNEUMONIA", f"person{number}_bacteria_1", 1),
            ("PNEUMONIA", f"person{number}_virus_2", 1),
        )
    },
    "3-kinds-of-pneumonia": {
        f"Curated X-Ray Dataset/{folder}/{i}.jpg": kind
        for i in range(2)
        for folder, kind in (("Normal", 0), ("COVID-19", 1), ("Pneumonia-Bacterial", 1), ("Pneumonia-Viral", 1))
    },
    "chest-xray-pneumoniacovid19tuberculosis": {
        f"{split}/{folder}/{folder}-{split}.{ending}": kind
        for split in ("train", "val", "test")
        for folder, ending, kind in (
            ("NORMAL", "jpeg", 0),
            ("PNEUMONIA", "jpeg", 1),
            ("COVID19", "jpg", 1),
            ("TURBERCULOSIS", "png", 1),
        )
    },
}


@pytest.fixture(scope="module")
def pictures():
    """Two phantoms of each of two classes."""
    made = make_phantoms(n=16, size=48, seed=5, progress=False, workers=1)
    return [[made.images[i, 0] for i in np.flatnonzero(made.labels == k)[:2]] for k in (0, 1)]


@pytest.fixture(scope="module")
def archives(pictures):
    """Data set -> its archive, in Kaggle's own layout and a few reads long."""
    rng = np.random.default_rng(0)
    result = {}
    for slug, layout in LAYOUTS.items():
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("__MACOSX/._padding", rng.bytes(3 * MEGABYTE))
            for i, (path, kind) in enumerate(layout.items()):
                picture = io.BytesIO()
                Image.fromarray(pictures[kind][i % 2]).save(picture, "PNG" if path.endswith("png") else "JPEG")
                archive.writestr(path, picture.getvalue())
        result[slug] = buffer.getvalue()
    return result


class Kaggle(ThreadingHTTPServer):
    """Answers as Kaggle does: the version, then a redirect to the archive on a storage server.

    faults: what goes wrong with the next archives, one each: "slow", "cut" in the middle, "cut and down", "noise" on
    the line, or other bytes instead. status: of every answer of the API. asked: paths of all requests; starts: where a
    download went on.
    """

    daemon_threads = True

    def __init__(self, archives, mounts):
        super().__init__(("127.0.0.1", 0), Answer)
        self.archives, self.mounts, self.status = archives, mounts, 200
        self.faults, self.asked, self.starts = [], [], []


class Answer(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content_Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        kaggle, asked = self.server, json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        call = urlsplit(self.path).path.rpartition("/")[2]
        kaggle.asked.append(call)
        if kaggle.status != 200:
            body = json.dumps({"code": kaggle.status, "message": "Kaggle's own reason"}).encode()
            self.answer(kaggle.status, body, Content_Type="application/json")
        elif call == "AttachDatasourceUsingJwtRequest":
            with zipfile.ZipFile(io.BytesIO(kaggle.archives[asked["datasetRef"]["DatasetSlug"]])) as archive:
                archive.extractall(kaggle.mounts / "attached")
            body = {"wasSuccessful": True, "result": {"mountSlug": "attached", "versionNumber": 2}}
            self.answer(200, json.dumps(body).encode(), Content_Type="application/json")
        elif call == "GetDataset":
            self.answer(200, b'{"currentVersionNumber": 2}', Content_Type="application/json")
        else:
            self.answer(302, Location=f"http://storage.example/{asked['datasetSlug']}")

    def do_GET(self):
        kaggle, slug = self.server, urlsplit(self.path).path.strip("/")
        kaggle.asked.append(slug)
        fault = kaggle.faults.pop(0) if kaggle.faults else None
        whole = fault if isinstance(fault, bytes) else kaggle.archives[slug]
        start = 0
        if "Range" in self.headers:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            kaggle.starts.append(start)
        body = whole[start:]
        self.send_response(206 if start else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-goog-hash", "md5=" + base64.b64encode(hashlib.md5(whole).digest()).decode())
        self.end_headers()
        if fault in ("cut", "cut and down"):
            kaggle.status = 503 if "down" in fault else 200
            body = body[: len(body) // 2]
        if fault == "noise":
            body = body[:-100] + bytes(100)
        with suppress(ConnectionError):  # kagglehub leaves an answer when it wants another part
            for piece in range(0, len(body), MEGABYTE // 8):
                self.wfile.write(body[piece : piece + MEGABYTE // 8])
                time.sleep(0.01 if fault == "slow" else 0)


@pytest.fixture
def kaggle(archives, tmp_path, monkeypatch):
    """A running Kaggle, and an empty home without a login that reaches nothing else."""
    for name in os.environ:
        if name.upper().startswith("KAGGLE") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    server = Kaggle(archives, tmp_path / "input")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    for name, value in {
        "http_proxy": f"http://127.0.0.1:{server.server_port}",
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
        "HOME": tmp_path / "home",
        "KAGGLE_CONFIG_DIR": tmp_path / "home",
        "KAGGLEHUB_CACHE": tmp_path / "hub",
        "CXR_CACHE_DIR": tmp_path / "cache",
        "KAGGLE_CACHE_MOUNT_FOLDER": server.mounts,
    }.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("CXR_DATA_DIR", raising=False)
    server.stop = lambda: (server.shutdown(), server.server_close(), thread.join())
    yield server
    if thread.is_alive():
        server.stop()


def get(name="pneumonia"):
    return load(name, 32, progress=False)


def leftovers(tmp_path):
    return sorted(p.name for p in (tmp_path / "hub").rglob("*.archive"))


def is_the_set(data):
    return len(data) == 12 and data.classes == ("normal", "pneumonia") and data.labels.sum() == 6


# --- what arrives


@pytest.mark.parametrize("name", SOURCES)
def test_a_set_is_downloaded_once(kaggle, name, tmp_path):
    first = get(name)
    assert set(first.labels) == set(range(len(first.classes))) and len(first.skipped) == 0
    assert kaggle.asked == ["GetDataset", "DownloadDataset", SOURCES[name].slug] and not leftovers(tmp_path)
    assert get(name).fingerprint == first.fingerprint and len(kaggle.asked) == 3
    kaggle.stop()
    assert get(name).fingerprint == first.fingerprint


def test_the_pixels_are_those_of_the_archive(kaggle, pictures):
    data = load("pneumonia", 48, progress=False)
    for image, kind in zip(data.images[:, 0].astype(int), data.labels, strict=True):
        assert min(np.abs(image - picture).mean() for picture in pictures[kind]) < 5


def test_a_slow_line(kaggle):
    kaggle.faults = ["slow"]
    assert is_the_set(get())


def test_a_download_that_breaks_off_goes_on_where_it_stopped(kaggle, tmp_path):
    kaggle.faults = ["cut", None, "cut"]  # kagglehub asks for the whole first, then for the part that is missing
    assert is_the_set(get())
    assert len(kaggle.starts) == 2 and MEGABYTE <= kaggle.starts[0] < kaggle.starts[1]
    assert not leftovers(tmp_path)


def test_what_came_before_the_network_went_is_kept(kaggle):
    kaggle.faults = ["cut and down"]
    with pytest.raises(FileNotFoundError, match=r"503.*\n.*load it again.*resumes.*CXR_DATA_DIR"):
        get()
    kaggle.status = 200
    assert is_the_set(get()) and kaggle.starts[0] >= MEGABYTE


# --- what does not


@pytest.mark.parametrize("wrong", ["a web page", "half an archive", "noise"])
def test_a_wrong_archive_is_named_and_does_not_stay(kaggle, tmp_path, wrong):
    half = kaggle.archives["chest-xray-pneumonia"][: 2 * MEGABYTE]
    kaggle.faults = [{"a web page": b"<html>Please log in</html>" * 9, "half an archive": half}.get(wrong, wrong)]
    with pytest.raises(FileNotFoundError, match="what came is not the archive.*damaged.*deleted"):
        get()
    assert not leftovers(tmp_path)
    assert is_the_set(get())


def test_an_archive_of_another_set(kaggle, archives):
    kaggle.archives = {**archives, "chest-xray-pneumonia": archives["3-kinds-of-pneumonia"]}
    with pytest.raises(FileNotFoundError, match="holds no images of pneumonia; delete this folder"):
        get()


@pytest.mark.parametrize(
    "status, advice",
    [
        (401, "asks for a login.*kaggle.json"),
        (403, "log in.*consent to its terms"),
        (404, "no such page"),
        (410, "refuses it.*in a browser"),
        (429, "asks you to wait.*minutes"),
        (500, "server has a problem.*later"),
        (503, "server has a problem.*later"),
    ],
)
def test_what_kaggle_answers_is_passed_on_with_what_to_do(kaggle, status, advice):
    kaggle.status = status
    with pytest.raises(FileNotFoundError) as caught:
        get()
    for words in (str(status), "paultimothymooney/chest-xray-pneumonia", "CXR_DATA_DIR", "root=", "phantom"):
        assert words in str(caught.value)
    assert re.search(advice, str(caught.value)) and ("Check the network" in str(caught.value)) == (status >= 500)
    assert "Kaggle's own reason" in str(caught.value)
    assert kaggle.asked == ["GetDataset"]


@pytest.mark.parametrize(
    "error, advice",
    [
        (OSError(28, "No space left on device"), "Make room on this disk.*KAGGLEHUB_CACHE"),
        (PermissionError(13, "Permission denied"), "a folder that can be written"),
        (ImportError("No module named 'kagglehub'"), "pip install kagglehub"),
        (ConnectionError("Name resolution"), "Check the network"),
    ],
)
def test_what_goes_wrong_here_is_not_the_network(kaggle, monkeypatch, error, advice):
    def fails(*_):
        raise error

    monkeypatch.setattr("kagglehub.dataset_download", fails)
    with pytest.raises(FileNotFoundError, match=f"(?s){advice}") as caught:
        get()
    assert str(error) in str(caught.value) and str(caught.value).count("Check the network") == (advice[0] == "C")


def test_no_network(kaggle):
    kaggle.stop()
    with pytest.raises(FileNotFoundError, match="(?s)Check the network.*CXR_DATA_DIR"):
        get()


# --- inside of a Kaggle notebook


@pytest.mark.parametrize("place", ["chest-xray-pneumonia", "datasets/paultimothymooney/chest-xray-pneumonia"])
def test_a_set_that_is_attached_to_a_kaggle_notebook_is_read_in_place(kaggle, place):
    with zipfile.ZipFile(io.BytesIO(kaggle.archives["chest-xray-pneumonia"])) as archive:
        archive.extractall(kaggle.mounts / place)
    assert is_the_set(get()) and kaggle.asked == []


def test_a_kaggle_notebook_attaches_what_is_missing(kaggle, monkeypatch, tmp_path):
    for name in ("KAGGLE_KERNEL_RUN_TYPE", "KAGGLE_USER_SECRETS_TOKEN", "KAGGLE_DATA_PROXY_TOKEN"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("KAGGLE_DATA_PROXY_URL", "http://proxy.example")
    assert is_the_set(get()) and kaggle.asked == ["AttachDatasourceUsingJwtRequest"]
    assert not (tmp_path / "hub").exists()

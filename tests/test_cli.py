"""The command as a newcomer types it: help, a run on the phantom, a run on a folder, readable errors."""

import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cxrlib.cli import main
from cxrlib.phantom import make_phantoms

FAST = ["--size", "32", "--epochs", "2", "--quiet", "--model", "CPFD"]


def cxr(*args, ok=True):
    result = CliRunner().invoke(main, [str(a) for a in args], catch_exceptions=False)
    assert (result.exit_code == 0) == ok, result.output
    return result.output


def cxr_error(*args):
    result = CliRunner().invoke(main, [str(a) for a in args])
    assert result.exit_code and "Traceback" not in result.output
    return result.output


@pytest.fixture
def folder(tmp_path):
    """Forty small X-ray-like images in Kaggle's layout."""
    rng = np.random.default_rng(0)
    for split, n in (("train", 15), ("test", 5)):
        for k, name in enumerate(("NORMAL", "PNEUMONIA")):
            place = tmp_path / "xrays" / split / name
            place.mkdir(parents=True)
            for i in range(n):
                pixels = rng.normal(90 + 60 * k, 10, (40, 40)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(place / f"{split}{i}.png")
    return tmp_path / "xrays"


@pytest.mark.parametrize("command", [[], ["data"], ["train"], ["evaluate"], ["recipes"]])
def test_help(command):
    text = cxr(*command, "--help")
    assert "Usage" in text and ("Options" in text)


def test_help_answers_without_loading_torch():
    code = (
        "import sys; from cxrlib.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('pandas' in sys.modules, 'sklearn' in sys.modules, 'accelerate' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip().endswith("False False False")


def test_train_and_evaluate_on_a_folder(folder, tmp_path):
    out, record = tmp_path / "run", tmp_path / "results" / "one.json"
    command = ["train", "--data", f"folder:{folder}", *FAST, "--out", str(out), "--record", str(record)]
    text = subprocess.run([sys.executable, "-m", "cxrlib", *command], capture_output=True, text=True, check=True).stdout
    assert "test:" in text and "10 images" in text
    result = json.loads(record.read_text())
    assert result == json.loads((out / "result.json").read_text())
    assert result["data"]["source"] == "folder:xrays"
    assert result["command"] == (
        "cxr train --data folder:xrays --recipe baseline --model CPFD --size 32 --epochs 2 --seed 0"
    )
    assert str(tmp_path) not in record.read_text(), "a record must not tell where things lie on this machine"
    assert result["data"]["splits"]["test"]["images"] == 10
    assert result["training"]["recipe"]["epochs"] == 2 and result["training"]["images_per_second"] > 0
    assert set(result["versions"]) >= {"torch", "cxrlib", "python"}
    low, high = result["test"]["intervals"]["accuracy"]
    assert low <= result["test"]["values"]["accuracy"] <= high
    assert result["test_at_validation_threshold"]["threshold_source"].startswith("chosen on")

    text = cxr("evaluate", out / "model.pt", "--data", f"folder:{folder}", "--quiet", "--out", tmp_path / "r.json")
    again = json.loads((tmp_path / "r.json").read_text())
    assert again["values"]["accuracy"] == result["test"]["values"]["accuracy"]
    assert "accuracy" in text


def test_train_on_the_phantom(tmp_path):
    cxr("train", *FAST, "-o", "n=80", "--out", tmp_path / "run")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["data"]["source"] == "phantom" and result["data"]["options"] == {"n": 80}
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        "model.pt",
        "result.json",
        "predictions.json",
        "checkpoint.pt",
    }
    again = cxr("train", *FAST, "-o", "n=80", "--out", tmp_path / "run")
    assert "was finished before" in again
    assert json.loads((tmp_path / "run" / "result.json").read_text())["test"] == result["test"]


def test_data_shows_an_audit(folder, tmp_path):
    page, odd = tmp_path / "audit.html", folder.rename(tmp_path / "<i>of & me")
    text = cxr("data", f"folder:{odd}", "--size", "32", "--html", page)
    assert "normal" in text and "pneumonia" in text
    assert "<img" in page.read_text() and "<i>" not in page.read_text()
    folder = odd.rename(folder)
    (folder / "train" / "scan.heic").write_bytes(b"\0\0\0\x20ftypheic")
    text = cxr("data", f"folder:{folder}", "--size", "32", "--json")
    assert "note:" in text and "images is not known" in text  # on stderr
    audit = json.loads(text[text.index("{\n") :])
    assert audit["skipped"][0]["file"] == "train/scan.heic"


def test_data_asks_the_controls_too(folder, tmp_path):
    page, phantoms = tmp_path / "page.html", ("-o", "n=160", "--size", "32", "--quiet", "--controls")
    text = cxr("data", *phantoms, "--json", "--html", page)
    assert "7 small networks are trained on" in text and "test split, where there is one, is not used" in text
    found = json.loads(text[text.index("{\n") :])
    assert found["images"] == 160 and found["controls"]["versions"]["lungs black"]["auc"] is not None
    assert "box alone" in page.read_text()
    assert f"no lungs were found in {3 * 10} of 30" in cxr_error("data", f"folder:{folder}", *phantoms[2:])


def test_data_finds_its_images_in_another_set(folder, tmp_path):
    rng = np.random.default_rng(1)
    for k, name in enumerate(("A", "B")):
        place = tmp_path / "other" / name
        place.mkdir(parents=True)
        Image.open(folder / "train" / "NORMAL" / f"train{k}.png").save(place / f"copy{k}.jpg", quality=90)
        Image.fromarray(rng.integers(0, 255, (40, 40), dtype=np.uint8)).save(place / "own.png")
    text = cxr("data", f"folder:{tmp_path / 'other'}", "--size", "32", "--against", f"folder:{folder}", "--quiet")
    assert "2 images of 4 are also in folder:xrays: a 1 of 2 (1 normal there); b 1 of 2" in text
    assert "A/copy0.jpg" in text and "train/NORMAL/train0.png" in text
    assert "does not exist" in cxr_error("data", "phantom", "-o", "n=20", "--against", "folder:/nowhere/at/all")


def test_recipes_are_listed():
    text = cxr("recipes")
    assert "baseline" in text and "augmented" in text and "layers-CPCFDD" in text


@pytest.mark.parametrize(
    "args, message",
    [
        (["data", "penumonia"], "pneumonia"),
        (["data", "folder:/nowhere/at/all"], "does not exist"),
        (["train", "--recipe", "basline"], "Did you mean 'baseline'?"),
        (["train", "--model", "resnet19", "-o", "n=40", "--size", "32", "--quiet"], "resnet18"),
        (["train", "-o", "n"], "NAME=VALUE"),
        (["train", "-o", "wrong=1", "--quiet"], "wrong"),
        (["evaluate", "/nowhere/model.pt"], "model.pt"),
    ],
)
def test_errors_are_one_sentence(args, message, tmp_path):
    result = CliRunner().invoke(main, args + (["--out", str(tmp_path)] if args[0] == "train" else []))
    assert result.exit_code != 0
    assert message in result.output
    assert "Traceback" not in result.output and result.output.count("\n") < 8


def test_a_model_for_other_classes_is_refused(folder, tmp_path):
    cxr("train", *FAST, "-o", "n=80", "-o", 'classes=["bacterial","viral"]', "--out", tmp_path / "run")
    words = ["evaluate", str(tmp_path / "run" / "model.pt"), "--data", f"folder:{folder}"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code != 0 and "--map normal=viral" in result.output and "Traceback" not in result.output
    result = CliRunner().invoke(main, [*words, "--map", "normal=", "--map", "pneumonia=viral"])
    assert result.exit_code == 0 and "of pneumonia count as viral" in result.output, result.output
    result = CliRunner().invoke(main, [*words, "--map", "normal=", "--map", "normal=viral"])
    assert result.exit_code != 0 and "named twice" in result.output


def test_the_module_runs_too():
    out = subprocess.run([sys.executable, "-m", "cxrlib", "--version"], capture_output=True, text=True, check=True)
    assert out.stdout.startswith("cxr")


@pytest.mark.parametrize("option", ["size=3", "root=1", "name=x", "progress=0"])
def test_an_option_of_the_command_is_none_of_the_source(option):
    done = CliRunner().invoke(main, ["data", "-o", "n=12", "-o", option])
    assert done.exit_code == 2 and f"{option.partition('=')[0]} is not an option of a data source" in done.output


def test_ctrl_c_in_training_scores_nothing_and_says_how_to_go_on(tmp_path, monkeypatch):
    from cxrlib import experiment
    from cxrlib.train import History

    def stopped(model, train, val, recipe, **_):
        return History(recipe, stopped="interrupted")

    monkeypatch.setattr(experiment, "fit", stopped)
    answer = CliRunner().invoke(main, ["train", *FAST, "-o", "n=80", "--out", str(tmp_path / "run")])
    assert answer.exit_code == 1 and "The same command continues" in answer.output
    assert not (tmp_path / "run" / "result.json").exists()


def test_evaluate_takes_the_folder_of_a_run(tmp_path):
    cxr("train", *FAST, "-o", "n=80", "--out", tmp_path / "run")
    same = [
        cxr("evaluate", path, "--data", "phantom", "-o", "n=80", "--quiet")
        for path in (tmp_path / "run", tmp_path / "run" / "model.pt")
    ]
    assert same[0] == same[1] and "accuracy" in same[0]


def test_a_run_of_three_classes_is_evaluated_to_its_recorded_numbers(tmp_path):
    run, source = tmp_path / "run", ("-o", "n=90", "-o", 'classes=["normal","bacterial","viral"]')
    cxr("train", *FAST, *source, "--out", run)
    for part, recorded in (("test", "test"), ("val", "validation")):
        cxr("evaluate", run, "--split", part, "--quiet", "--out", tmp_path / "r.json")
        found = json.loads((tmp_path / "r.json").read_text())
        assert found["values"] == json.loads((run / "result.json").read_text())[recorded]["values"]
        assert found["threshold"] is None and "at_validation_threshold" not in found
    assert "give one for two classes only" in cxr_error("evaluate", run, "--threshold", "0.3", "--quiet")


def test_images_of_one_class_are_scored(folder, tmp_path):
    cxr("train", "--data", f"folder:{folder}", *FAST, "--out", tmp_path / "run")
    (folder / "test/PNEUMONIA").rename(tmp_path / "away")
    (folder / "train/PNEUMONIA").rename(tmp_path / "gone")
    (tmp_path / "run/model.pt").rename(tmp_path / "alone.pt")
    text = cxr("evaluate", tmp_path / "alone.pt", "--data", f"folder:{folder}", "--quiet")
    assert "5 images of 5 patients" in text and "no image of pneumonia" in text and "auc –" in text


@pytest.fixture(scope="module")
def adults(tmp_path_factory):
    """A set as Kaggle serves them, new to the library: adults, three classes, other spellings, several file types."""
    place = tmp_path_factory.mktemp("adults") / "COVID_TB_Dataset" / "xrays"
    kinds = {"Normal": "normal", "COVID": "covid-19", "Tuberculosis": "tuberculosis"}
    made = make_phantoms(180, 48, tuple(kinds.values()), seed=4, age="adult", progress=False, workers=1)
    names, count = list(kinds), {}
    for image, label, split in zip(made.images[:, 0], made.labels, made.table["split"], strict=True):
        part, name = "test" if split == "test" else "train", names[label]
        number = count[part, name] = count.get((part, name), 0) + 1
        file = place / part / name / f"{name}-{number}.{('png', 'jpg', 'jpeg')[label]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).convert("RGB" if label else "L").save(file)
    return place.parent


def test_a_new_set_of_adults_in_three_classes_trains_and_tests_a_run_of_children(adults, tmp_path):
    source = f"folder:{adults}"
    text = cxr("data", source, "--size", "48", "--quiet")
    assert "File types differ between the classes" in text and all(
        name in text for name in ("normal", "covid", "tuberculosis")
    )
    cxr("train", "--data", source, *FAST, "--out", tmp_path / "adults")
    result = json.loads((tmp_path / "adults/result.json").read_text())
    assert result["data"]["source"] == "folder:COVID_TB_Dataset" and result["data"]["splits"]["test"]["images"] == 19
    assert set(result["test"]["classes"]) == {"normal", "covid", "tuberculosis"}

    cxr("train", *FAST, "-o", "n=120", "--out", tmp_path / "children")  # normal, pneumonia
    words = ["evaluate", tmp_path / "children", "--data", source, "--split", "all", "--quiet"]
    text = cxr(*words, "--map", "covid=pneumonia", "--map", "tuberculosis=", "--out", tmp_path / "r.json")
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["classes"] == ["normal", "pneumonia"] and np.sum(report["confusion"][1]) == sum(
        part["classes"]["covid"] for part in result["data"]["splits"].values()
    )
    assert "auc" in text and set(report["intervals"]) >= {"auc", "accuracy"}
    assert "180 images" in cxr(*words)  # of normal and one other class all that is not normal counts as that
    back = ["evaluate", tmp_path / "adults", "--data", "phantom", "-o", "n=60", "--split", "all", "--quiet"]
    assert "--map pneumonia=" in cxr_error(*back)
    assert "60 images" in cxr(*back, "--map", "pneumonia=covid")

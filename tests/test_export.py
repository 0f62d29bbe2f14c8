"""cxr export: the ONNX file answers as PyTorch does, and tells what a program must know."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import cxrlib as cxr
from cxrlib import experiment, export
from cxrlib.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    recipe = cxr.recipes["baseline"].replace(size=48, epochs=1, crop="lungs", tta=("identity", "flip"))
    done = experiment.run("phantom", recipe, folder=folder, options={"n": 80}, bootstrap=20, progress=False)
    done.save(folder)
    return folder


def test_the_file_answers_as_pytorch_and_tells_the_rest(run, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    out = tmp_path / "model.onnx"
    done = CliRunner().invoke(main, ["export", str(run), str(out)])
    assert done.exit_code == 0, done.output
    assert "input image (batch, 1, 48, 48)" in done.output and "note" not in done.output
    session = onnxruntime.InferenceSession(out)
    facts = {name: json.loads(value) for name, value in session.get_modelmeta().custom_metadata_map.items()}
    opened = cxr.Run.open(run)
    assert facts.pop("note").endswith("Not a medical device.")
    assert facts == {
        "multilabel": False,
        "classes": list(opened.classes),
        "size": 48,
        "normalize": opened.model.config["normalize"],
        "threshold": opened.threshold,
        "temperature": opened.temperature,
        "views": ["identity", "flip"],
        "crop": "lungs",
        "crop_margin": opened.recipe.crop_margin,
    }
    images = np.random.default_rng(1).integers(0, 256, (5, 1, 48, 48), np.uint8)
    (probs,) = session.run(["probabilities"], {"image": images.astype(np.float32) / 255})
    np.testing.assert_allclose(probs, cxr.predict(opened.model, images), atol=1e-5)


def test_what_disagrees_is_not_written(run, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(export, "AGREE", -1)
    with pytest.raises(ValueError, match="nothing was written"):
        export.export_onnx(cxr.Run.open(run), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named_with_its_remedy(run, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "NEEDED", ("onnx_nobody_has",))
    done = CliRunner().invoke(main, ["export", str(run), str(tmp_path / "model.onnx")])
    assert done.exit_code and "onnx_nobody_has" in done.output and "pip install 'cxrlib[onnx]'" in done.output

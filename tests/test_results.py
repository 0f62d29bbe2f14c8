"""The recorded runs: complete, and every number in README and book comes from them."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_spec = importlib.util.spec_from_file_location("results_tool", ROOT / "tools" / "results.py")
tool = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tool)

RECORDS = tool.load(ROOT / "results")
TRAINING = [r for r in RECORDS if tool.is_training(r)]


def test_readme_and_results_page_are_up_to_date():
    for path, text in tool.outputs().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run `make generated`"


def test_a_changed_record_changes_the_tables():
    changed = json.loads(json.dumps(TRAINING))
    changed[0]["test"]["values"]["accuracy"] = 0.123
    assert "0.123 (" in tool.training_table(changed) and "0.123 (" not in tool.training_table(TRAINING)


def test_the_two_models_that_everyone_compares_with_are_recorded():
    models = {r["training"]["recipe"]["model"]: r for r in TRAINING}
    assert {"cnn5", "resnet18"} <= set(models)
    assert models["resnet18"]["training"]["recipe"]["augment"], "ResNet-18 is recorded with augmentation"


@pytest.mark.parametrize("record", TRAINING, ids=lambda r: r["file"])
def test_a_record_says_what_is_needed_to_repeat_it(record):
    assert record["command"].startswith("cxr train")
    assert {"recipe", "epochs", "seconds", "images_per_second", "hardware"} <= set(record["training"])
    assert {"torch", "cxrlib", "python"} <= set(record["versions"])
    splits = record["data"]["splits"]
    assert splits["test"]["images"] == record["test"]["images"] == sum(map(sum, record["test"]["confusion"]))
    assert record["data"]["by"] == "patient"
    for report in (record["test"], record["validation"]):
        for name, (low, high) in report["intervals"].items():
            assert low <= report["values"][name] <= high, name


@pytest.mark.parametrize("path", sorted((ROOT / "results").glob("*.json")), ids=lambda p: p.stem)
def test_a_record_holds_numbers_only(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\.jpe?g|\.png|person\d|IM-\d|base64|[\"\s=:](/[\w.-]+){2,}|[A-Z]:\\", text)
    assert path.stat().st_size < 200_000

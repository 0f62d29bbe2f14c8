"""benchmarks/choices.py: what the recipe `whole` owes to its parts, on validation images alone."""

import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import toy

import cxrlib as cxr
from benchmarks import choices

ROOT = Path(__file__).resolve().parents[1]


def test_stress_changes_every_image_and_is_repeatable():
    images = toy(12, size=32).images
    hard = choices.stress(images)
    assert hard.dtype == np.uint8 and hard.shape == images.shape
    assert np.array_equal(hard, choices.stress(images)) and not np.array_equal(hard, choices.stress(images, seed=1))
    assert (np.abs(hard.astype(int) - images).mean((1, 2, 3)) > 1).all()


def test_stress_takes_the_fine_detail_away():
    checkers = np.indices((32, 32)).sum(0) % 2 * 255
    hard = choices.stress(checkers[None, None].astype(np.uint8))
    assert np.abs(np.diff(hard[0, 0].astype(int), axis=1)).max() < 60  # it was 255 between neighbors


@pytest.mark.parametrize("change", [c for c in choices.CHANGES if c != "as it is"])
def test_every_change_changes_the_recipe(change):
    assert choices.WHOLE.replace(**choices.CHANGES[change]) != choices.WHOLE


def test_the_script_records_a_row_a_change_and_goes_on_where_it_was(monkeypatch, tmp_path):
    """From the command line to the record, on toy images; the test images are not read."""

    class NotOpened:
        def __getattr__(self, name):
            raise AssertionError("the test images were opened")

    def split(data, **_):
        return data[:48], data[48:], NotOpened()

    data = toy(80, size=32)
    data.fingerprint  # noqa: B018  (the record quotes it)
    monkeypatch.setattr(cxr, "load", lambda *_, **__: data)
    monkeypatch.setattr(cxr, "split", split)
    monkeypatch.setattr(
        choices, "WHOLE", choices.WHOLE.replace(model="CP", model_options={"filters": (8,)}, batch_size=16)
    )
    out = tmp_path / "choices.json"
    arguments = ["choices.py", "--size", "32", "--epochs", "2", "--out", str(out), "--only", "as it is"]
    monkeypatch.setattr(sys, "argv", arguments)
    choices.main()
    monkeypatch.setattr(sys, "argv", [*arguments, "one view, not six"])
    choices.main()
    record = choices.json.loads(out.read_text())
    six, one = record["rows"]
    assert (six["change"], one["change"]) == ("as it is", "one view, not six")
    assert six["recipe"]["tta"] and not one["recipe"]["tta"]
    for row in (six, one):
        low, high = row["stress"]["intervals"]["auc"]
        assert low <= row["stress"]["values"]["auc"] <= high
    assert record["validation_images"] == 32 and record["training_images"] == 48
    monkeypatch.setattr(sys, "argv", [*arguments, "--seed", "1"])
    with pytest.raises(SystemExit):  # other settings must not be mixed into one record
        choices.main()

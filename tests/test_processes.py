"""Training in several processes, as torchrun and accelerate start them, against training in one."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.slow

# No dropout, no augmentation and no batch norm: their numbers depend on which images one process sees. All else must be
# the same. The rate is so high that validation gets worse again; higher still, rounding would grow to whole images.
SCRIPT = """
import json, sys
from cxrlib import Recipe
from cxrlib.experiment import run
recipe = Recipe(model="CPCPFD", model_options={"filters": (8, 8), "hidden": 16, "dropout": 0.0}, size=32, batch_size=16,
                lr=0.005, optimizer="adamw", class_weights="balanced", label_smoothing=0.1, precision="fp32")
recipe = recipe.replace(**json.loads(sys.argv[2]))
done = run("phantom", recipe, options={"n": 461}, val=0.3, folder=sys.argv[1], bootstrap=10, progress=False)
"""


def start(count: int, *command, folder) -> subprocess.CompletedProcess:
    """Run a Python command in so many processes; more than one are started by torchrun."""
    several = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)] if count > 1 else []
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "CXR_CACHE_DIR": str(folder / "cache")}
    return subprocess.run(
        [sys.executable, *several, *map(str, command)], capture_output=True, text=True, env=env, cwd=folder, timeout=300
    )


def trained(folder, count: int, name: str, text: str = SCRIPT, **changes):
    script = folder / "script.py"
    script.write_text(text)
    done = start(count, script, folder / name, json.dumps(changes), folder=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    record = json.loads((folder / name / "result.json").read_text())
    return record, torch.load(folder / name / "model.pt", weights_only=True)["state"]


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 12, "lr": 0.003, "early_stopping": 2, "schedule": "plateau", "schedule_options": {"patience": 0}},
        {"epochs": 3, "lr": 0.002, "ema_decay": 0.9, "schedule": "onecycle", "head_epochs": 1},
        {"epochs": 2, "schedule": "cosine", "model": "CPCP", "model_options": {"filters": (8, 8)}, "attend": "lungs"},
    ],
    ids=["early stopping", "average, head", "attention"],
)
def test_two_processes_give_what_one_gives(tmp_path, changes):
    one, weights = trained(tmp_path, 1, "one", **changes)
    two, theirs = trained(tmp_path, 2, "two", **changes)
    assert (one["training"]["hardware"]["processes"], two["training"]["hardware"]["processes"]) == (1, 2)
    assert (
        one["training"]["stopped"]
        == two["training"]["stopped"]
        == ("early" if "early_stopping" in changes else "finished")
    )
    assert one["training"]["best_epoch"] == two["training"]["best_epoch"]
    rows = [[*r["training"]["head"], *r["training"]["epochs"]] for r in (one, two)]
    assert len(rows[0]) == len(rows[1]) and len({row["lr"] for row in rows[0]}) > 1
    for a, b in zip(*rows, strict=True):
        for key in (a.keys() & {"outside"}) | {"lr", "loss", "accuracy", "val_loss", "val_accuracy", "val_auc"}:
            # rounding moves a probability by little, and with it a picture or two past the threshold, or past another
            assert a[key] == pytest.approx(b[key], abs=2e-3 if key in ("lr", "loss", "val_loss") else 2e-2), key
    for name, value in weights.items():
        np.testing.assert_allclose(value.numpy(), theirs[name].numpy(), atol=2e-3, err_msg=name)
    assert two["test"]["values"]["auc"] == pytest.approx(one["test"]["values"]["auc"], abs=2e-2)


def test_the_average_that_is_validated_is_the_one_that_is_kept(tmp_path):
    """Each process sees other images, so its batch norms would validate their share with other statistics."""
    script = SCRIPT
    for old, new in (
        ('"CPCPFD", model_options={"filters": (8, 8), "hidden": 16, "dropout": 0.0}', '"resnet18"'),
        (' class_weights="balanced", label_smoothing=0.1,', ""),
    ):
        assert old in script
        script = script.replace(old, new)
    record, _ = trained(tmp_path, 2, "run", script, epochs=2, ema_decay=0.5, restore_best=False)
    kept = json.loads((tmp_path / "run" / "predictions.json").read_text())["validation"]
    loss = -np.log(np.array(kept["probs"])[range(len(kept["labels"])), kept["labels"]]).mean()
    assert record["training"]["epochs"][-1]["val_loss"] == pytest.approx(loss, rel=1e-4)


def test_the_command_runs_under_torchrun_writes_once_and_continues(tmp_path):
    train = (
        "-m",
        "cxrlib",
        "train",
        "--data",
        "phantom",
        "-o",
        "n=120",
        "--recipe",
        "baseline",
        "--size",
        "32",
        "--out",
        tmp_path / "run",
        "--epochs",
    )
    done = start(2, *train, "2", folder=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("test:") == 1 and "Traceback" not in done.stderr and "destroy_process" not in done.stderr
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        "model.pt",
        "result.json",
        "predictions.json",
        "checkpoint.pt",
    }
    again = start(2, *train, "2", folder=tmp_path)
    assert again.returncode == 0 and "finished before" in again.stderr
    other = start(2, *train, "3", folder=tmp_path)
    assert other.returncode == 1 and "epochs was 2, is 3" in other.stderr


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path):
    done = start(
        2,
        "-m",
        "cxrlib",
        "train",
        "--data",
        "phantom",
        "-o",
        "n=120",
        "--size",
        "32",
        "--batch-size",
        "15",
        "--epochs",
        "1",
        folder=tmp_path,
    )
    assert done.returncode == 1 and "a batch of 15 images cannot be shared by 2 processes" in done.stderr


def test_accelerate_starts_them_as_well(tmp_path):
    command = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes",
        "2",
        "-m",
        "cxrlib",
    ]
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "CXR_CACHE_DIR": str(tmp_path / "cache"),
        "HF_HOME": str(tmp_path),
    }
    done = subprocess.run(
        [
            *command,
            "train",
            "--data",
            "phantom",
            "-o",
            "n=120",
            "--size",
            "32",
            "--epochs",
            "1",
            "--out",
            str(tmp_path / "run"),
        ],
        capture_output=True,
        text=True,
        env=env,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert record["training"]["hardware"]["processes"] == 2

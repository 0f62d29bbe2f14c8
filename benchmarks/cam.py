"""How fast are the class activation maps? Ratios to pytorch-grad-cam, measured in one run.

    python benchmarks/cam.py                 # writes benchmarks/cam.json
    python benchmarks/cam.py --repeats 9 --threads 2

Both libraries get the same ResNet-18 and the same 32 images of 224 x 224 pixels, in turn, call by call, so that a
busy moment of the machine hits both. pytorch-grad-cam runs as its users run it: in float32 (it cannot hand out
bfloat16 maps) and in PyTorch's own memory layout, where cxrlib keeps its networks in channels_last. One row gives it
this layout, too. Its time holds the enlargement and the scaling of the maps, which are a part of its call. The memory
is that of a fresh process each for 100 and 1,000 images.
"""

import argparse
import copy
import json
import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

import cxrlib as cxr  # before pytorch_grad_cam: it heals a torchvision that was built for another torch
from cxrlib.device import describe, fast_bf16

SIZE, BATCH = 224, 32
CLASSES = ("normal", "bacterial", "viral", "covid-19")
BARS = {"one class": 4, "four classes": 12, "one class at layer3": 2}
SAME = "one class, both in channels_last"


def reference(model, layer, targets):
    """A call of pytorch-grad-cam's Grad-CAM for each of ``targets``."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    cam = GradCAM(model=model, target_layers=[layer])
    return lambda x: np.stack([cam(input_tensor=x, targets=[ClassifierOutputTarget(k)] * len(x)) for k in targets], 1)


def race(ours, theirs, repeats):
    """Median seconds of both and the median of the ratios, taking turns."""
    ours(), theirs()
    times = []
    for _ in range(repeats):
        pair = []
        for call in (ours, theirs):
            start = time.perf_counter()
            call()
            pair.append(time.perf_counter() - start)
        times.append(pair)
    times = np.array(times)
    return *np.median(times, 0), float(np.median(times[:, 1] / times[:, 0]))


def agreement(maps, expected):
    """Largest difference after both are enlarged and scaled to 0..1 in the same way."""
    from pytorch_grad_cam.utils.image import scale_cam_image

    scaled = np.stack([scale_cam_image(maps[:, k], (SIZE, SIZE)) for k in range(maps.shape[1])], 1)
    return float(np.abs(scaled - expected).max())


def speed(repeats):
    torch.manual_seed(0)
    model = cxr.build_model("resnet18", CLASSES, size=SIZE, seed=0).eval()
    with torch.no_grad():  # an untrained network speaks for no class in particular; this one speaks for all
        model.head.output.weight.abs_()
    x = torch.rand(BATCH, 1, SIZE, SIZE)
    usual = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
    variants = {"float32": (model, x)}
    if fast_bf16(torch.device("cpu")):
        variants["bfloat16"] = (copy.deepcopy(model).bfloat16(), x.bfloat16())

    def one(m, x):
        return cxr.explain(m, x, target=1)[:, None]

    cases = {
        "one class": (one, reference(usual, usual.body[-1], [1])),
        "four classes": (cxr.explain, reference(usual, usual.body[-1], range(4))),
        "one class at layer3": (
            lambda m, x: cxr.explain(m, x, layer="layer3", target=1)[:, None],
            reference(usual, usual.body.get_submodule("layer3"), [1]),
        ),
        SAME: (one, reference(model, model.body[-1], [1])),
    }
    rows = []
    for case, (ours, theirs) in cases.items():
        expected = theirs(x)
        for variant, (m, images) in variants.items():
            if case == SAME and variant != "float32":
                continue
            a, b, ratio = race(lambda o=ours, m=m, i=images: o(m, i), lambda t=theirs: t(x), repeats)
            rows.append(
                {
                    "case": case,
                    "cxrlib_runs_in": variant,
                    "cxrlib_images_per_second": BATCH / a,
                    "pytorch_grad_cam_images_per_second": BATCH / b,
                    "ratio": ratio,
                    "bar": BARS.get(case),
                    "largest_difference": agreement(ours(m, images), expected),
                }
            )
    return rows


class Stream:
    """A data set whose images exist only while they are read."""

    def __init__(self, n):
        self.labels = np.zeros(n, int)

    def __len__(self):
        return len(self.labels)

    def batch(self, rows):
        return np.random.default_rng(rows[0]).integers(0, 256, (len(rows), 1, SIZE, SIZE), dtype=np.uint8)


def peak_memory(n):
    """Peak resident MiB of a fresh process that explains ``n`` images."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import cam; print(cam.explain_stream({n}))"
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout.split()[-1])


def explain_stream(n):
    maps = cxr.explain(cxr.build_model("resnet18", CLASSES, size=SIZE, seed=0).eval(), Stream(n))
    assert maps.shape[0] == n
    # Not getrusage: on Linux a child process starts with the peak of its parent.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**10


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="timed calls of each library for each row")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (0: torch decides)")
    parser.add_argument("--json", default=str(Path(__file__).with_suffix(".json")), help="where the numbers go")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)

    rows = speed(args.repeats)
    print(f"ResNet-18, {SIZE} px, batch {BATCH}; images a second, median of {args.repeats} calls")
    print(f"{'':34s}{'cxrlib runs in':16s}{'cxrlib':>8s}{'grad-cam':>10s}{'ratio':>8s}{'bar':>6s}{'difference':>13s}")
    for r in rows:
        print(
            f"{r['case']:34s}{r['cxrlib_runs_in']:16s}{r['cxrlib_images_per_second']:8.1f}"
            f"{r['pytorch_grad_cam_images_per_second']:10.1f}{r['ratio']:8.1f}{r['bar'] or '':>6}"
            f"{r['largest_difference']:13.1e}"
        )
    memory = {n: peak_memory(n) for n in (100, 1000)}
    print("peak memory: " + ", ".join(f"{mib:.0f} MiB for {n} images" for n, mib in memory.items()))
    result = {
        "speed": [{k: round(v, 6) if isinstance(v, float) else v for k, v in r.items()} for r in rows],
        "peak_memory_mib": {str(n): round(mib, 1) for n, mib in memory.items()},
        "size": SIZE,
        "batch": BATCH,
        "repeats": args.repeats,
        "machine": describe(torch.device("cpu")),
        "versions": {name: version(name) for name in ("torch", "grad-cam", "numpy")} | {"cxrlib": cxr.__version__},
    }
    part = Path(args.json).with_suffix(".part")
    part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    part.replace(args.json)


if __name__ == "__main__":
    main()

"""How large is a network in a page, and how fast does it answer?

The networks that the course trains, as `live_network` writes them, in Chromium, from the disk, on one thread: one
forward pass with the class activation maps (Grad-CAM) of all classes, by the browser's own clock, median of 50.
Needs Chromium (Debian: apt install chromium) and playwright.
"""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
from pathlib import Path

import numpy as np

import cxrlib
from cxrlib.device import describe
from cxrlib.files import write_json
from cxrlib.live import live_network
from cxrlib.widgets.base import kit, tfjs

CLASSES = ("normal", "bacterial", "viral")
PASSES = 50
NETWORKS = (
    ("CPCPCPC", 64, 16, 50, {"filters": [16, 32, 64, 64]}),
    ("cnn5", 64, 16, 50, {}),
    ("resnet18", 64, 16, 50, {}),
    ("efficientnet_lite0", 128, 16, 300, {}),
    ("efficientnet_lite0", 128, 8, 300, {}),
)
LOAD = """async () => {
  const started = performance.now();
  await cxr.tensorflow({ kernel: false });
  return performance.now() - started;
}"""
MEASURE = """async ([described, passes]) => {
  const tf = await cxr.tensorflow({ kernel: false });
  const started = performance.now(), network = new cxr.Network(tf, described), times = [];
  const gray = Float32Array.from({ length: network.size ** 2 }, (_, i) => (Math.sin(i) + 1) / 2);
  network.run(gray);
  const ready = performance.now() - started;
  for (let i = 0; i < passes; i++) {
    await new Promise(requestAnimationFrame);
    const t = performance.now();
    network.run(gray);
    times.push(performance.now() - t);
  }
  network.dispose();
  return [ready, times];
}"""


def main() -> None:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        print("not measured: Chromium is not installed (Debian, Ubuntu: apt install chromium)")
        return
    from playwright.sync_api import sync_playwright

    rows = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        (Path(folder) / "_static").mkdir()
        (Path(folder) / "_static" / "tfjs.js").write_text(tfjs(), encoding="utf-8")
        script = f"{kit('live')[0]}; globalThis.cxr = {{ tensorflow, Network }}"
        path = Path(folder) / "page.html"
        path.write_text(
            f"<!doctype html><html data-content_root='./'><body><script>{script}</script>", encoding="utf-8"
        )
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page()
        tab.goto(path.as_uri())
        load = tab.evaluate(LOAD)
        megabytes = len(tfjs().encode()) / 1e6
        print(f"machine: {describe()}\nTensorFlow.js: {megabytes:.2f} MB, ready after {load:.0f} ms")
        for name, size, bits, bar, options in NETWORKS:
            net = cxrlib.build_model(name, CLASSES, size=size, seed=0, **options)
            described = live_network(net, bits)
            ready, times = tab.evaluate(MEASURE, [described, PASSES])
            rows.append(
                {
                    "model": name,
                    "size": size,
                    "bits": bits,
                    "megabytes": round(len(json.dumps(described, separators=(",", ":"))) / 1e6, 2),
                    "ready_ms": round(ready),
                    "median_ms": round(statistics.median(times), 1),
                    "p95_ms": round(float(np.quantile(times, 0.95)), 1),
                    "bar_ms": bar,
                }
            )
            print(rows[-1])
        browser.close()
    record = {"runtime_megabytes": round(megabytes, 2), "load_ms": round(load), "passes": PASSES, "rows": rows}
    write_json(Path(__file__).with_suffix(".json"), {**record, "machine": describe()})


if __name__ == "__main__":
    main()

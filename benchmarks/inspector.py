"""How heavy is a page with the CAM inspector, and how fast does it redraw?

12 images x 5 classes x 3 layers of a ResNet-18 at 224 px, as a page without a kernel, in Chromium. A redraw is the
time from the movement of a slider until the frame after the one that painted the canvas, so a screen with 60
frames a second gives at least 17 ms; the time of the script alone is printed beside it.
Needs Chromium (Debian: apt install chromium) and playwright.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from pathlib import Path

import cxrlib
from cxrlib.device import describe
from cxrlib.files import write_json
from cxrlib.widgets import CamInspector

CLASSES = ("normal", "bacterial", "viral", "covid-19", "tuberculosis")
MOVES = 40
MEASURE = """async ([label, moves]) => {
  const root = document.querySelector(".cxr-cam");
  const slider = root.querySelector(`input[aria-label="${label}"]`);
  const frame = () => new Promise(requestAnimationFrame);
  const whole = [], drawing = [];
  for (let i = 0; i < moves; i++) {
    await frame();
    const drawn = new Promise((done) => root.addEventListener("cxr-drawn", done, { once: true }));
    const started = performance.now();
    slider.value = 10 + i;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    drawing.push((await drawn).detail.milliseconds);
    await frame();
    whole.push(performance.now() - started);
  }
  return [whole, drawing];
}"""


def main() -> None:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        print("not measured: Chromium is not installed (Debian, Ubuntu: apt install chromium)")
        return
    from playwright.sync_api import sync_playwright

    data = cxrlib.load("phantom", 224, n=120, classes=CLASSES, progress=False)
    net = cxrlib.build_model("resnet18", CLASSES, size=224, seed=0)
    inspector = CamInspector(net, data, progress=False)
    page = inspector.static_state()["page"]
    counts = len(page["images"]), len(CLASSES), len(page["models"][0]["layers"])
    html = len(inspector.to_html().encode())
    print("machine:", describe())
    print(f"weight of the page: {html / 1e6:.2f} MB for {counts[0]} images x {counts[1]} classes x {counts[2]} layers")
    redraws = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = inspector.save_html(Path(folder) / "page.html")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for title, mode in (("one map", "no"), ("two maps, all outlines", "classes")):
            tab = browser.new_page(viewport={"width": 1100, "height": 900})
            tab.goto(path.as_uri())
            tab.locator(".numbers .note").first.wait_for()
            tab.get_by_label("Side by side").select_option(mode)
            for box in tab.get_by_role("checkbox").all():
                box.set_checked(mode != "no")
            tab.wait_for_timeout(500)
            for slider in ("Opacity", "Hide below"):
                whole, drawing = tab.evaluate(MEASURE, [slider, MOVES])
                slowest = sorted(whole)[int(0.95 * MOVES) - 1]
                print(
                    f"{title}, {slider.lower()} slider: redraw median {statistics.median(whole):.0f} ms, "
                    f"95 % under {slowest:.0f} ms (script alone {statistics.median(drawing):.1f} ms)"
                )
                redraws.append(
                    {
                        "what": f"{title}, {slider.lower()} slider",
                        "p95_ms": round(slowest, 1),
                        "median_ms": round(statistics.median(whole), 1),
                    }
                )
            tab.close()
        browser.close()
    write_json(
        Path(__file__).with_suffix(".json"),
        {
            "page_megabytes": round(html / 1e6, 3),
            "images": counts[0],
            "classes": counts[1],
            "layers": counts[2],
            "redraws": redraws,
            "machine": describe(),
        },
    )


if __name__ == "__main__":
    main()

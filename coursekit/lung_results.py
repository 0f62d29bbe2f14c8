"""The part of the results page about `cxr.lungs`: its table, its anchors, and the outlines of its worst cases."""

from __future__ import annotations

from .performance import table
from .records import template

PICTURE = "_static/lungs-worst.svg"
#: what others reported on the Montgomery images: name -> what it learned from, Dice, IoU (None: not given)
ANCHORS = {
    "atlases, graph cuts (Candemir et al., TMI 33(2), 2014; called accuracy)": ("other images of the set", None, 0.941),
    "a U-Net (github.com/imlab-uiip/lung-segmentation-2d)": ("the set and JSRT, five folds", 0.972, 0.956),
    "a U-Net of 25.8 million weights (Idiap, bob.ip.binseg)": ("other images of the set", 0.982, None),
    "the same U-Net, trained on JSRT": ("adults in Japan", 0.973, None),
    "the same U-Net, trained on Shenzhen": ("adults in China", 0.942, None),
}

TEXT = template("lungs")

CHILDREN = """\
The {images:,} X-rays of children (Kermany et al. 2018) have no masks. Two networks of different seeds agree there with
a mean Dice of {mean:.3f} (5 % of the images below {q05:.3f}; {below:.1%} below 0.80), and find no lungs in {none} of
them; where they agree they may both be wrong."""


def text(records: list[dict]) -> str:
    """Write the part about lungs, or nothing where there is no record."""
    return "\n\n".join(_part(r) for r in records if r.get("kind") == "lungs")


def line(records: list[dict]) -> str:
    """Write the sentence of the README."""
    found = [r for r in records if r.get("kind") == "lungs"]
    anchors = _range([dice for _, dice, _ in ANCHORS.values() if dice])
    return "\n\n".join(
        f"`cxr.lungs`, trained on phantoms alone, finds the lungs in {r['images']} real X-rays of adults with a mean "
        f"Dice of {_range([run['all']['dice']['mean'] for run in r['runs']])} ({len(r['runs'])} seeds); networks "
        f"trained on real masks reach {anchors} there ([details](book/results.md#where-the-lungs-are))."
        for r in found
    )


def picture(records: list[dict]) -> str | None:
    """Draw the worst cases as outlines: an SVG picture, or None where there is no record."""
    found = [r for r in records if r.get("kind") == "lungs"]
    if not found:
        return None
    parts = []
    for k, case in enumerate(found[0]["worst"]):
        lines = [
            f'<path d="M{polygon}z" {look}/>'
            for kind, look in (("true", 'stroke="#6b7280" stroke-dasharray="24 16"'), ("found", 'stroke="#0072B2"'))
            for polygon in case[kind]
        ]
        label = f'<text x="500" y="1090" text-anchor="middle">{case["dice"]:.3f}</text>'
        frame = '<rect width="1000" height="1000" stroke="#d1d5db"/>'
        parts.append(f'<g transform="translate({40 + 1060 * k} 40)">{frame}{"".join(lines)}{label}</g>')
    width = 20 + 1060 * len(parts) + 20
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} 1170" font-family="sans-serif" font-size="80">'
    )
    style = "<style>path,rect{fill:none;stroke-width:8}text{fill:#374151}</style>"
    ground = f'<path d="M0,0H{width}V1170H0z" style="fill:#fff"/>'
    return "\n".join([head, style, ground, *parts, "</svg>"]) + "\n"


def _range(values: list[float]) -> str:
    low, high = f"{min(values):.3f}", f"{max(values):.3f}"
    return low if low == high else f"{low} to {high}"


def _part(r: dict) -> str:
    def score(part: dict, name: str) -> str:
        return "{:.3f} ({:.3f}–{:.3f})".format(part[name]["mean"], *part[name]["interval"])

    def far(fraction: float) -> str:
        return f"{100 * fraction:.1f} % ({r['side'] * fraction:.1f} px)"

    rows = [
        [
            f"{run['seed']}, {name}", f"{part['images']}", score(part, "dice"), f"{part['dice']['min']:.3f}",
            f"{part['below_80']}", score(part, "iou"), far(part["hausdorff95"]["mean"]),
        ]
        for run in r["runs"]
        for name in ("all", "choosing", "reporting")
        for part in [run[name]]
    ]  # fmt: skip
    head = ["seed, images", "number", "mean Dice", "lowest", "below 0.80", "mean IoU", "distance"]
    dash = "–"
    anchors = [[n, what, f"{d:.3f}" if d else dash, f"{j:.3f}" if j else dash] for n, (what, d, j) in ANCHORS.items()]
    minutes = [run["training"]["cpu_seconds"] / 60 for run in r["runs"]]
    children, kids = "", r.get("children")
    if kids:
        none = " and ".join(map(str, kids["not_found"]))
        dice = kids["dice"]
        children = CHILDREN.format(**kids | dice, below=kids["below_80"], none=none)
    return TEXT.format(
        images=r["images"], side=r["side"], phantoms=r["recipe"]["phantoms"], scores=table(head, rows), picture=PICTURE,
        minutes=f"{max(minutes):.1f}", speed=r["speed"]["images_per_second"], threads=r["speed"]["threads"],
        worst=len(r["worst"]),
        anchors=table(["others", "trained on", "Dice", "IoU"], anchors),
        children=children, command=r["command"],
    )  # fmt: skip

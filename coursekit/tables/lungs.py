"""The part of the results page about `cxr.lungs`: its table, its anchors, and the outlines of its worst cases."""

from __future__ import annotations

from cxrlib.values import text as shown

from .records import filled, of_kind, ranged, spanned, table

PICTURE = "_static/lungs-worst.svg"
#: what others reported on the Montgomery images: name -> what it learned from, Dice, IoU (None: not given)
ANCHORS = {
    "atlases, graph cuts (Candemir et al., TMI 33(2), 2014; called accuracy)": ("other images of the set", None, 0.941),
    "a U-Net (github.com/imlab-uiip/lung-segmentation-2d)": ("the set and JSRT, five folds", 0.972, 0.956),
    "a U-Net of 25.8 million weights (Idiap, bob.ip.binseg)": ("other images of the set", 0.982, None),
    "the same U-Net, trained on JSRT": ("adults in Japan", 0.973, None),
    "the same U-Net, trained on Shenzhen": ("adults in China", 0.942, None),
}


def line(r: dict) -> str:
    """Write the sentence of the README."""
    anchors = spanned([dice for _, dice, _ in ANCHORS.values() if dice])
    return (
        f"`cxr.lungs`, trained on phantoms alone, finds the lungs in {r['images']} real X-rays of adults with a mean "
        f"Dice of {spanned([run['all']['dice']['mean'] for run in r['runs']])} ({len(r['runs'])} seeds); networks "
        f"trained on real masks reach {anchors} there ([details](book/results.md#where-the-lungs-are))."
    )


def picture(records: list[dict]) -> str | None:
    """Draw the worst cases as outlines: an SVG picture, or None where there is no record."""
    record = of_kind(records, "lungs")
    if record is None:
        return None
    parts = []
    for k, case in enumerate(record["worst"]):
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


def part(r: dict) -> str:
    """Write the part."""

    def score(half: dict, name: str) -> str:
        return ranged(half[name]["mean"], *half[name]["interval"])

    def far(fraction: float) -> str:
        return f"{100 * fraction:.1f} % ({r['side'] * fraction:.1f} px)"

    rows = [
        [
            f"{run['seed']}, {name}", f"{half['images']}", score(half, "dice"), f"{half['dice']['min']:.3f}",
            f"{half['below_80']}", score(half, "iou"), far(half["hausdorff95"]["mean"]),
        ]
        for run in r["runs"]
        for name in ("all", "choosing", "reporting")
        for half in [run[name]]
    ]  # fmt: skip
    head = ["seed, images", "number", "mean Dice", "lowest", "below 0.80", "mean IoU", "distance"]
    anchors = [[name, what, shown(dice), shown(iou)] for name, (what, dice, iou) in ANCHORS.items()]
    minutes = max(run["training"]["cpu_seconds"] for run in r["runs"]) / 60
    kids = r.get("children")
    children = filled("lungs-children", kids, none=" and ".join(map(str, kids["not_found"]))) if kids else ""
    return filled(
        "lungs", r, scores=table(head, rows), picture=PICTURE, minutes=minutes, worst=len(r["worst"]),
        anchors=table(["others", "trained on", "Dice", "IoU"], anchors), children=children,
    )  # fmt: skip

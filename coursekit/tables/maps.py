"""The part of the results page about maps on real X-rays: where they lie, by class, right against wrong, and claims."""

from __future__ import annotations

from collections.abc import Iterator

from cxrlib.values import UNDEFINED
from cxrlib.values import text as shown

from .records import filled, table

REGIONS = ("lungs", "between", "below", "above", "beside", "outside")
FEWEST = 10  # answers of each kind, to compare right with wrong
OWN, SECOND, LAYER = "grad-cam, predicted", "grad-cam, pneumonia", "layer-cam, predicted"
#: what the sources said of single maps -> where that is: (region, which images, which maps)
CLAIMS = {
    "A: the map lies mostly on the heart": ("between", "all", OWN),
    "B: normal images, on the chin": ("above", "normal", OWN),
    "B: normal images, on the diaphragm": ("below", "normal", OWN),
    "B: a hand at the right edge": ("right edge", "all", OWN),
    "C: on the outer edge of the ribs": ("rib edge", "all", LAYER),
    "C: on the R marker": ("marker", "all", LAYER),
    "(the marker's place, mirrored)": ("mirrored marker", "all", LAYER),
}

NO_MARKER = "Where the marker lies on these images was not measured."


def verdict(row: dict) -> str:
    """Compare the energy in a region with that of a uniform map: the interval of the difference decides."""
    return "more" if row["gain_low"] > 0 else "less" if row["gain_high"] < 0 else "unclear"


def part(r: dict) -> str:
    """Write the part about maps."""
    runs = r["runs"]
    head = ["network", *REGIONS]
    classes = [(f"{run['name']}, {name}", rows) for run in runs for name, rows in run["maps"][OWN]["by_class"].items()]
    compared = [
        [f"{run['name']}, {name}: {right} right, {wrong} wrong", *map(_change, map(rows.get, REGIONS))]
        for run in runs
        for name, rows, right, wrong in _comparable(run)
    ]
    marked = all("marker" in run["maps"][OWN]["regions"] for run in runs)
    claims = [[claim, *(_claimed(run, *place) for run in runs)] for claim, place in CLAIMS.items()]
    return filled(
        "maps", r, first=runs[0], fewest=FEWEST,
        energies=table(head, [[run["name"], *_cells(run["maps"][OWN]["regions"])] for run in runs]),
        said="\n".join(map(_said, runs)), classes=table(head, [[name, *_cells(rows)] for name, rows in classes]),
        left_out="\n".join(map(_left_out, runs)), compared=table(head, compared), warns="\n".join(map(_warns, runs)),
        marker=filled("maps-marker") if marked else NO_MARKER, training=_training(r),
        claims=table(["what was said", *map(_header, runs)], claims),
    )  # fmt: skip


def _header(run: dict) -> str:
    own, fine = (" by ".join(map(str, run["maps"][name]["grid"])) for name in (OWN, LAYER))
    return f"{run['name']}: {own}; last three rows {fine} ({run['maps'][LAYER]['layer']})"


def _cells(regions: dict) -> Iterator[str]:
    for row in map(regions.get, REGIONS):
        yield f"{shown(row['energy'], *_ends(row, 'energy_low', 'energy_high'))} [{shown(row['uniform'])}]"


def _ends(row: dict, *names: str) -> list[float]:
    return [float("nan") if row[name] is None else row[name] for name in names]


def _change(row: dict) -> str:
    return shown(row["difference"], *_ends(row, "low", "high"), "+.3f")


def _said(run: dict) -> str:
    """Say of one network which regions have more or less of its maps than of a uniform map."""
    rows = run["maps"][OWN]["regions"]
    words = {"more": "more than a uniform map", "less": "less", "unclear": "as much, as far as one can tell"}
    found = {word: [name for name in REGIONS if verdict(rows[name]) == how] for how, word in words.items()}
    parts = [f"{word}: {', '.join(names)}" for word, names in found.items() if names]
    lungs, other = rows["lungs"], run["maps"][LAYER]["regions"]["lungs"]
    scores = f"{run['recipe']['model']}, test accuracy {run['test']['accuracy']:.3f}"
    return (
        f"- {run['name']} ({scores}): {lungs['energy']:.0%} of the energy lies in the lungs; by LayerCAM at "
        f"{run['maps'][LAYER]['layer']} {other['energy']:.0%}. The mean of all its maps, which knows no image, has "
        f"{lungs['mean_map']:.0%} there; a perfect map of the lungs on the same grid {lungs['ceiling']:.0%}. Regions "
        f"with {'; '.join(parts)}."
    )


def _left_out(run: dict) -> str:
    own = run["maps"][OWN]
    grid = " by ".join(map(str, own["grid"]))
    cut = "; the images are cut to the lungs" if run["recipe"]["crop"] else ""
    cut += f"; trained by `{run['trained']}`"
    images = "image" if own["nowhere"] == 1 else "images"
    none = f"{own['blank']} blank maps, {own['nowhere']} {images} in which no lungs were found"
    return f"- {run['name']}: maps of {grid} on {own['size'][0]} px{cut}. Left out: {none}."


def _warns(run: dict) -> str:
    """Say whether maps in the lungs go with right answers, among the images of each class."""
    parts = []
    for name, rows, *_ in _comparable(run):
        low, high = rows["lungs"]["low"], rows["lungs"]["high"]
        how = "more" if low > 0 else "less" if high < 0 else "neither clearly more nor clearly less"
        parts.append(f"{how} of the map lies in the lungs where the answer is right ({name})")
    return f"- {run['name']}: {'; '.join(parts) or UNDEFINED}."


def _comparable(run: dict) -> Iterator[tuple[str, dict, int, int]]:
    """Give class, differences, and how many answers are right and wrong, where there are enough of both."""
    for name, rows in run["maps"][SECOND]["right_minus_wrong"].items():
        right, wrong = rows["lungs"]["images_one"], rows["lungs"]["images_two"]
        if name != "all" and min(right, wrong) >= FEWEST:
            yield name, rows, right, wrong


def _claimed(run: dict, region: str, images: str, which: str) -> str:
    maps = run["maps"][which]
    row = (maps["regions"] if images == "all" else maps["by_class"].get(images, {})).get(region)
    return UNDEFINED if row is None else f"{shown(row['energy'])} [{shown(row['uniform'])}]: {verdict(row)}"


def _training(r: dict) -> str:
    if not r["alike"]:
        return ""
    accuracy = {
        run["name"]: f"{run['name']} (accuracy {run['test']['accuracy']:.2f})" for run in r["runs"] + r["stages"]
    }
    rows = [
        [
            accuracy[pair["one"]], accuracy[pair["two"]], shown(pair["mean"], *pair["interval"]),
            " and ".join(map(shown, pair["other_images"])),
        ]
        for pair in r["alike"]
    ]  # fmt: skip
    return filled("maps-training", table=table(["one network", "the other", "same images", "different images"], rows))

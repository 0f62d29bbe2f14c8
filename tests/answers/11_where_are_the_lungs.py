"""Answers that the checks of exercise 11 must judge rightly."""

DICE = """
def dice(found, truth):
    both = (found & truth).sum((1, 2))
    sizes = found.sum((1, 2)) + truth.sum((1, 2))
    score = {score}
    score = np.where(sizes == 0, {empty}, score)
    return {back}
"""
HAUSDORFF = """
def hausdorff95(found, truth):
    if {empty}:
        return {nothing}
    a, b = {parts}
    there = distance_transform_edt(~b)[a]
    back = distance_transform_edt(~a)[b]
    return {score}
"""
KEEP = """
def keep_largest(mask, n):
    numbers, count = label({label})
    sizes = {sizes}
    return {kept}
"""
FILL = """
def fill_holes(mask):
    numbers, count = label({label})
    outside = {outside}
    return {back}
"""
BOX = """
def lung_box(mask, margin):
    h, w = mask.shape
    if not mask.any():
        return {empty}
    y, x = np.nonzero(mask)
    x0, x1, y0, y1 = x.min(), x.max() + {last}, y.min(), y.max() + {last}
    dx, dy = {margins}
    return {back}
"""
ENERGY = """
def energy_where(maps, lungs, labels, k):
    maps = {maps}
    total = maps.sum((1, 2))
    with np.errstate(all="ignore"):
        energy = {energy}
    area = lungs.mean((1, 2))
    used = {used}
    out = [[], [], []]
    for c in range(k):
        rows = (labels == c) & used
        out[0].append({mean} if rows.any() else {none})
        out[1].append(area[rows].mean() if rows.any() else {none})
        out[2].append(rows.sum())
    return {back}
"""


def dice(score="2 * both / np.maximum(sizes, 1)", empty="np.nan", back="score"):
    return DICE.format(score=score, empty=empty, back=back)


def hausdorff(
    empty="not found.any() or not truth.any()",
    nothing="np.nan",
    parts="edge(found), edge(truth)",
    score="max(np.percentile(there, 95), np.percentile(back, 95))",
):
    return HAUSDORFF.format(empty=empty, nothing=nothing, parts=parts, score=score)


def keep(
    label="mask",
    sizes="np.bincount(numbers.ravel())[1:]",
    kept='np.isin(numbers, np.argsort(-sizes, kind="stable")[:n] + 1)',
):
    return KEEP.format(label=label, sizes=sizes, kept=kept)


def fill(
    label="~mask",
    outside="np.unique(np.concatenate([numbers[0], numbers[-1], numbers[:, 0], numbers[:, -1]]))",
    back="mask | ~np.isin(numbers, outside)",
):
    return FILL.format(label=label, outside=outside, back=back)


def box(
    empty="0, 0, w, h",
    last="1",
    margins="round(margin * (x1 - x0)), round(margin * (y1 - y0))",
    back="max(x0 - dx, 0), max(y0 - dy, 0), min(x1 + dx, w), min(y1 + dy, h)",
):
    return BOX.format(empty=empty, last=last, margins=margins, back=back)


def energy(
    maps="np.maximum(maps, 0)",
    energy="np.where(total > 0, (maps * lungs).sum((1, 2)) / np.where(total > 0, total, 1), 0)",
    used="lungs.any((1, 2))",
    mean="energy[rows].mean()",
    none="np.nan",
    back="out",
):
    return ENERGY.format(maps=maps, energy=energy, used=used, mean=mean, none=none, back=back)


WRONG = {
    "the intersection over union": {
        "task": "dice",
        "check": "overlap_of_each_image",
        "says": "intersection over union",
        "code": dice(score="both / np.maximum((found | truth).sum((1, 2)), 1)"),
    },
    "the 2 is missing": {
        "task": "dice",
        "check": "overlap_of_each_image",
        "says": "the 2 is missing",
        "code": dice(score="both / np.maximum(sizes, 1)"),
    },
    "bool arrays added up": {
        "task": "dice",
        "check": "overlap_of_each_image",
        "says": "means or",
        "code": """
def dice(found, truth):
    return 2 * (found * truth).sum((1, 2)) / (found + truth).sum((1, 2))
""",
    },
    "recall": {
        "task": "dice",
        "check": "overlap_of_each_image",
        "says": "recall",
        "code": dice(score="both / np.maximum(truth.sum((1, 2)), 1)"),
    },
    "the accuracy of the pixels": {
        "task": "dice",
        "check": "overlap_of_each_image",
        "says": "background counts nothing",
        "code": dice(score="(found == truth).mean((1, 2))"),
    },
    "one score for all images": {
        "task": "dice",
        "check": "overlap_of_each_image",
        "says": "one number came back",
        "code": """
def dice(found, truth):
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())
""",
    },
    "two empty masks match": {
        "task": "dice",
        "check": "empty_masks",
        "says": "two empty masks scored 1",
        "code": dice(empty="1"),
    },
    "two empty masks score 0": {
        "task": "dice",
        "check": "empty_masks",
        "says": "two empty masks scored 0",
        "code": dice(empty="0"),
    },
    "one empty mask has no score": {
        "task": "dice",
        "check": "empty_masks",
        "says": "one of two masks is empty",
        "code": dice(score="np.where(both > 0, 2 * both / np.maximum(sizes, 1), np.nan)"),
    },
    "empty images dropped": {
        "task": "dice",
        "check": "empty_masks",
        "says": "dropped",
        "code": dice(back="score[sizes > 0]"),
    },
    "the largest distance": {
        "task": "hausdorff95",
        "check": "larger_of_both_directions",
        "says": "largest distance",
        "code": hausdorff(score="max(there.max(), back.max())"),
    },
    "the smaller direction": {
        "task": "hausdorff95",
        "check": "larger_of_both_directions",
        "says": "smaller one",
        "code": hausdorff(score="min(np.percentile(there, 95), np.percentile(back, 95))"),
    },
    "only from found to truth": {
        "task": "hausdorff95",
        "check": "larger_of_both_directions",
        "says": "smaller one of the two directions",
        "code": hausdorff(score="np.percentile(there, 95)"),
    },
    "both directions in one": {
        "task": "hausdorff95",
        "check": "larger_of_both_directions",
        "says": "put together",
        "code": hausdorff(score="np.percentile(np.concatenate([there, back]), 95)"),
    },
    "all pixels in place of edges": {
        "task": "hausdorff95",
        "check": "larger_of_both_directions",
        "says": "only those at the edge",
        "code": hausdorff(parts="found, truth"),
    },
    "a percentile from 0 to 1": {
        "task": "hausdorff95",
        "check": "larger_of_both_directions",
        "says": "from 0 to 100",
        "code": hausdorff(score="max(np.percentile(there, 0.95), np.percentile(back, 0.95))"),
    },
    "the distance to the background of the edge": {
        "task": "hausdorff95",
        "check": "larger_of_both_directions",
        "says": "give it ~edge(mask)",
        "code": """
def hausdorff95(found, truth):
    if not found.any() or not truth.any():
        return np.nan
    a, b = edge(found), edge(truth)
    return max(np.percentile(distance_transform_edt(b)[a], 95), np.percentile(distance_transform_edt(a)[b], 95))
""",
    },
    "the mean distance": {
        "task": "hausdorff95",
        "check": "larger_of_both_directions",
        "says": "mean distance",
        "code": hausdorff(score="max(there.mean(), back.mean())"),
    },
    "an empty mask has the distance 0": {
        "task": "hausdorff95",
        "check": "masks_without_an_outline",
        "says": "give nan",
        "code": hausdorff(nothing="0.0"),
    },
    "an empty mask has an infinite distance": {
        "task": "hausdorff95",
        "check": "masks_without_an_outline",
        "says": "give nan",
        "code": hausdorff(nothing="np.inf"),
    },
    "only the largest": {
        "task": "keep_largest",
        "check": "largest_components",
        "says": "keep n of them",
        "code": keep(kept="numbers == sizes.argmax() + 1 if count else mask"),
    },
    "the background is a component": {
        "task": "keep_largest",
        "check": "largest_components",
        "says": "the background counts",
        "code": keep(
            sizes="np.bincount(numbers.ravel())", kept='np.isin(numbers, np.argsort(-sizes, kind="stable")[:n])'
        ),
    },
    "the numbers are one too small": {
        "task": "keep_largest",
        "check": "largest_components",
        "says": "one too small",
        "code": keep(kept='np.isin(numbers, np.argsort(-sizes, kind="stable")[:n])'),
    },
    "the smallest": {
        "task": "keep_largest",
        "check": "largest_components",
        "says": "the smallest",
        "code": keep(kept='np.isin(numbers, np.argsort(sizes, kind="stable")[:n] + 1)'),
    },
    "the first": {
        "task": "keep_largest",
        "check": "largest_components",
        "says": "the first n",
        "code": keep(kept="mask & (numbers <= n)"),
    },
    "the numbers in place of a mask": {
        "task": "keep_largest",
        "check": "largest_components",
        "says": "give True and False",
        "code": keep(kept='np.where(np.isin(numbers, np.argsort(-sizes, kind="stable")[:n] + 1), numbers, 0)'),
    },
    "corners connect": {
        "task": "keep_largest",
        "check": "corners_do_not_connect",
        "says": "touch at a corner",
        "code": keep(label="mask, np.ones((3, 3))"),
    },
    "the last of equal ones": {
        "task": "keep_largest",
        "check": "equally_large_components",
        "says": "the last one was kept",
        "code": keep(kept='np.isin(numbers, np.argsort(sizes, kind="stable")[::-1][:n] + 1)'),
    },
    "all of equal size": {
        "task": "keep_largest",
        "check": "equally_large_components",
        "says": "keep n components",
        "code": keep(
            kept="np.isin(numbers, np.flatnonzero(sizes >= np.sort(sizes)[::-1][min(n, count) - 1]) + 1)"
            " if count else mask"
        ),
    },
    "background where components are missing": {
        "task": "keep_largest",
        "check": "fewer_components_than_asked_for",
        "says": "background was kept",
        "code": """
def keep_largest(mask, n):
    numbers, count = label(mask)
    sizes = np.bincount(numbers.ravel(), minlength=n + 1)
    sizes[0] = 0
    return np.isin(numbers, np.argsort(-sizes, kind="stable")[:n])
""",
    },
    "nothing where components are missing": {
        "task": "keep_largest",
        "check": "fewer_components_than_asked_for",
        "says": "nothing was kept",
        "code": keep(
            kept='np.isin(numbers, np.argsort(-sizes, kind="stable")[:n] + 1) if count >= n else np.zeros_like(mask)'
        ),
    },
    "only the holes": {
        "task": "fill_holes",
        "check": "holes_become_lung",
        "says": "only the holes came back",
        "code": fill(back="~mask & ~np.isin(numbers, outside)"),
    },
    "the outside": {
        "task": "fill_holes",
        "check": "holes_become_lung",
        "says": "it is the outside",
        "code": fill(back="~mask & np.isin(numbers, outside)"),
    },
    "row by row": {
        "task": "fill_holes",
        "check": "holes_become_lung",
        "says": "each row was filled",
        "code": """
def fill_holes(mask):
    filled = mask.copy()
    for row in filled:
        columns = np.flatnonzero(row)
        if len(columns):
            row[columns[0] : columns[-1] + 1] = True
    return filled
""",
    },
    "labels of the mask": {
        "task": "fill_holes",
        "check": "holes_become_lung",
        "says": "nothing was filled",
        "code": fill(label="mask", back="mask | (~mask & (numbers > 0))"),
    },
    "the largest piece is outside": {
        "task": "fill_holes",
        "check": "background_in_several_pieces",
        "says": "only the largest piece",
        "code": fill(outside="np.bincount(numbers.ravel())[1:].argmax() + 1", back="mask | (numbers != outside)"),
    },
    "the corner is outside": {
        "task": "fill_holes",
        "check": "background_in_several_pieces",
        "says": "in a corner",
        "code": fill(outside="numbers[0, 0]", back="mask | (numbers != outside)"),
    },
    "background connects at corners": {
        "task": "fill_holes",
        "check": "holes_between_corners",
        "says": "a corner is no way",
        "code": fill(label="~mask, np.ones((3, 3))"),
    },
    "x and y changed places": {
        "task": "lung_box",
        "check": "box_with_a_margin",
        "says": "x and y changed places",
        "code": box(back="max(y0 - dy, 0), max(x0 - dx, 0), min(y1 + dy, h), min(x1 + dx, w)"),
    },
    "the last pixel is the end": {
        "task": "lung_box",
        "check": "box_with_a_margin",
        "says": "one too small",
        "code": box(last="0", margins="round(margin * (x1 + 1 - x0)), round(margin * (y1 + 1 - y0))"),
    },
    "the last pixel is the end, for the margin too": {
        "task": "lung_box",
        "check": "no_lungs_in_the_image",
        "says": "the box around one pixel",
        "code": box(last="0"),
    },
    "a fraction of the image": {
        "task": "lung_box",
        "check": "box_with_a_margin",
        "says": "not of the image",
        "code": box(margins="round(margin * w), round(margin * h)"),
    },
    "half of the margin": {
        "task": "lung_box",
        "check": "box_with_a_margin",
        "says": "half of the margin",
        "code": box(margins="round(margin * (x1 - x0) / 2), round(margin * (y1 - y0) / 2)"),
    },
    "one margin for both": {
        "task": "lung_box",
        "check": "box_with_a_margin",
        "says": "each has its own",
        "code": box(margins="(round(margin * (x1 - x0)),) * 2"),
    },
    "margins cut off": {
        "task": "lung_box",
        "check": "box_with_a_margin",
        "says": "cut off to whole pixels",
        "code": box(margins="int(margin * (x1 - x0)), int(margin * (y1 - y0))"),
    },
    "margins not rounded": {
        "task": "lung_box",
        "check": "box_with_a_margin",
        "says": "not whole",
        "code": box(margins="margin * (x1 - x0), margin * (y1 - y0)"),
    },
    "width and height in place of a corner": {
        "task": "lung_box",
        "check": "box_with_a_margin",
        "says": "width and height came back",
        "code": box(
            margins="min(round(margin * (x1 - x0)), x0), min(round(margin * (y1 - y0)), y0)",
            back="x0 - dx, y0 - dy, x1 - x0 + 2 * dx, y1 - y0 + 2 * dy",
        ),
    },
    "below 0": {
        "task": "lung_box",
        "check": "box_at_the_border",
        "says": "cut it off",
        "code": box(back="x0 - dx, y0 - dy, x1 + dx, y1 + dy"),
    },
    "beyond the other border": {
        "task": "lung_box",
        "check": "box_at_the_border",
        "says": "sticks out at the right or below",
        "code": box(back="max(x0 - dx, 0), max(y0 - dy, 0), x1 + dx, y1 + dy"),
    },
    "an empty box": {
        "task": "lung_box",
        "check": "no_lungs_in_the_image",
        "says": "give the whole image",
        "code": box(empty="0, 0, 0, 0"),
    },
    "the shape as the whole image": {
        "task": "lung_box",
        "check": "no_lungs_in_the_image",
        "says": "changed places",
        "code": box(empty="0, 0, h, w"),
    },
    "the sum of a class": {
        "task": "energy_where",
        "check": "mean_energy_of_each_class",
        "says": "added up first",
        "code": energy(mean="(maps * lungs)[rows].sum() / max(total[rows].sum(), 1e-9)"),
    },
    "negative values kept": {
        "task": "energy_where",
        "check": "mean_energy_of_each_class",
        "says": "negative values",
        "code": energy(maps="maps", energy="(maps * lungs).sum((1, 2)) / total"),
    },
    "absolute values": {
        "task": "energy_where",
        "check": "mean_energy_of_each_class",
        "says": "absolute values",
        "code": energy(maps="np.abs(maps)"),
    },
    "the mean of all images": {
        "task": "energy_where",
        "check": "mean_energy_of_each_class",
        "says": "each class has its own",
        "code": energy(mean="energy[used].mean()"),
    },
    "inside divided by outside": {
        "task": "energy_where",
        "check": "mean_energy_of_each_class",
        "says": "sum outside",
        "code": energy(energy="(maps * lungs).sum((1, 2)) / np.maximum((maps * ~lungs).sum((1, 2)), 1e-9)"),
    },
    "divided by the area": {
        "task": "energy_where",
        "check": "mean_energy_of_each_class",
        "says": "each by itself",
        "code": energy(mean="energy[rows].mean() / area[rows].mean()"),
    },
    "a number of pixels": {
        "task": "energy_where",
        "check": "area_and_number_of_images",
        "says": "number of pixels",
        "code": energy().replace("lungs.mean((1, 2))", "lungs.sum((1, 2))"),
    },
    "all images counted": {
        "task": "energy_where",
        "check": "area_and_number_of_images",
        "says": "were counted, too",
        "code": energy().replace("rows.sum()", "(labels == c).sum()"),
    },
    "empty masks count 0": {
        "task": "energy_where",
        "check": "blank_maps_and_empty_masks",
        "says": "counted as 0",
        "code": energy(used="np.ones(len(maps), bool)"),
    },
    "blank maps left out": {
        "task": "energy_where",
        "check": "blank_maps_and_empty_masks",
        "says": "were left out",
        "code": energy(used="lungs.any((1, 2)) & (total > 0)"),
    },
    "blank maps divided by zero": {
        "task": "energy_where",
        "check": "blank_maps_and_empty_masks",
        "says": "an energy is nan",
        "code": energy(energy="(maps * lungs).sum((1, 2)) / total"),
    },
    "a class without images has 0": {
        "task": "energy_where",
        "check": "classes_without_images",
        "says": "give nan",
        "code": energy(none="0.0"),
    },
    "two arrays only": {
        "task": "energy_where",
        "check": "area_and_number_of_images",
        "says": "three arrays were asked for",
        "code": energy(back="out[0], out[1]"),
    },
}
CORRECT = {
    "image by image, as a list": {
        "task": "dice",
        "code": """
def dice(found, truth):
    scores = []
    for a, b in zip(found, truth):
        a, b = set(np.flatnonzero(a).tolist()), set(np.flatnonzero(b).tolist())
        scores.append(2 * len(a & b) / (len(a) + len(b)) if a or b else float("nan"))
    return scores
""",
    },
    "from the intersection over union": {
        "task": "dice",
        "code": """
import warnings

def dice(found, truth):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        iou = (found & truth).sum(axis=(1, 2)) / np.logical_or(found, truth).sum(axis=(1, 2))
    return np.float32(2 * iou / (1 + iou))
""",
    },
    "all pairs of edge pixels": {
        "task": "hausdorff95",
        "code": """
from scipy.spatial.distance import cdist

def hausdorff95(found, truth):
    if found.sum() * truth.sum() == 0:
        return None or float("nan")
    table = cdist(np.argwhere(edge(found)), np.argwhere(edge(truth)))
    return np.array([np.quantile(table.min(axis), 0.95) for axis in (0, 1)]).max()
""",
    },
    "with its own flood fill": {
        "task": "keep_largest",
        "code": """
def keep_largest(mask, n):
    left = set(map(tuple, np.argwhere(mask).tolist()))
    pieces = []
    for start in map(tuple, np.argwhere(mask).tolist()):
        if start not in left:
            continue
        left.remove(start)
        piece, todo = [start], [start]
        while todo:
            y, x = todo.pop()
            for step in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if step in left:
                    left.remove(step)
                    piece.append(step)
                    todo.append(step)
        pieces.append(piece)
    kept = [[False] * mask.shape[1] for _ in mask]
    for piece in sorted(pieces, key=len, reverse=True)[:n]:
        for y, x in piece:
            kept[y][x] = True
    return kept
""",
    },
    "one component after the other": {
        "task": "keep_largest",
        "code": """
def keep_largest(mask, n):
    numbers, count = label(mask)
    kept = np.zeros(mask.shape, dtype=int)
    sizes = [(numbers == i).sum() for i in range(1, count + 1)]
    for _ in range(min(n, count)):
        i = int(np.argmax(sizes))
        kept += numbers == i + 1
        sizes[i] = -1
    return kept
""",
    },
    "with binary_fill_holes": {
        "task": "fill_holes",
        "code": """
from scipy.ndimage import binary_fill_holes

def fill_holes(mask):
    return binary_fill_holes(mask)
""",
    },
    "padded, with the corner": {
        "task": "fill_holes",
        "code": """
def fill_holes(mask):
    numbers, _ = label(~np.pad(mask, 1))
    return (numbers != numbers[0, 0])[1:-1, 1:-1]
""",
    },
    "the outside grows": {
        "task": "fill_holes",
        "code": """
def fill_holes(mask):
    outside = np.ones(np.array(mask.shape) + 2, dtype=bool)
    outside[1:-1, 1:-1] = False
    free = ~np.pad(mask, 1)
    while True:
        grown = outside.copy()
        grown[1:] |= outside[:-1]
        grown[:-1] |= outside[1:]
        grown[:, 1:] |= outside[:, :-1]
        grown[:, :-1] |= outside[:, 1:]
        grown &= free
        if (grown == outside).all():
            return (~outside[1:-1, 1:-1]).astype(np.uint8)
        outside = grown
""",
    },
    "an array, with np.clip": {
        "task": "lung_box",
        "code": """
def lung_box(mask, margin):
    h, w = mask.shape
    if mask.sum() == 0:
        return np.array([0, 0, w, h])
    where = np.argwhere(mask)
    low, high = where.min(axis=0)[::-1], where.max(axis=0)[::-1] + 1
    extra = np.rint(margin * (high - low))
    return np.clip(np.concatenate([low - extra, high + extra]), 0, [w, h, w, h])
""",
    },
    "with find_objects": {
        "task": "lung_box",
        "code": """
from scipy.ndimage import find_objects

def lung_box(mask, margin):
    boxes = find_objects(mask.astype(int))
    if not boxes:
        return [0, 0, mask.shape[1], mask.shape[0]]
    ends = []
    for part, side in zip(boxes[0][::-1], mask.shape[::-1]):
        extra = int(margin * (part.stop - part.start) + 0.5)
        ends.append((max(0, part.start - extra), min(side, part.stop + extra)))
    return [*np.array(ends).T.ravel().tolist()]
""",
    },
    "image by image, as one array": {
        "task": "energy_where",
        "code": """
def energy_where(maps, lungs, labels, k):
    rows = {c: [] for c in range(k)}
    for values, inside, c in zip(maps, lungs, labels.tolist()):
        if inside.any():
            good = values.clip(min=0)
            rows[c].append((good[inside].sum() / good.sum() if good.any() else 0.0, inside.mean()))
    means = [np.mean(r, axis=0) if r else [np.nan, np.nan] for r in rows.values()]
    return np.array([[m[0] for m in means], [m[1] for m in means], [len(r) for r in rows.values()]])
""",
    },
    "with nan and bincount": {
        "task": "energy_where",
        "code": """
def energy_where(maps, lungs, labels, k):
    good = np.where(maps > 0, maps, 0).reshape(len(maps), -1)
    flat = lungs.reshape(len(lungs), -1)
    energy = np.nan_to_num((good * flat).sum(1) / np.where(good.sum(1) == 0, np.nan, good.sum(1)))
    used = flat.sum(1) > 0
    count = np.bincount(labels[used], minlength=k)
    safe = np.where(count == 0, np.nan, count)
    return [np.bincount(labels[used], v[used], k) / safe for v in (energy, flat.mean(1))] + [count]
""",
    },
}

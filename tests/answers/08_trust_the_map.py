"""Answers that the checks of exercise 08 must judge rightly."""

POINTING = """
def pointing_game(maps, masks):
    scores = []
    for values, mask in zip(maps, masks):
        {lesion}
        if values.max() <= 0:
            scores.append(0)
            continue
        scores.append({score})
    return float(np.mean(scores)) if scores else float("nan")
"""
SKIP = "if not mask.any(): continue"
ENERGY = """
def energy_inside(maps, masks):
    positive = {positive}
    total = {total}
    fraction = (positive * masks).sum((1, 2)) / np.where(total > 0, total, 1)
    fraction[~masks.any((1, 2))] = {empty}
    return fraction
"""
IOU = """
def iou_at(maps, masks, fraction):
    out = []
    for values, mask in zip(maps, masks):
        if not mask.any():
            out.append(np.nan)
            continue
        found = ({found}) & {guard}
        out.append({score})
    return np.array(out)
"""
EFFECT = """
def counterfactual_effect(with_marker, without_marker):
    a, b = with_marker, without_marker
    x, y = a >= 0.5, b >= 0.5
    return {{"shift": float({shift}), "flips": float({flips})}}
"""
RANKS = """
def rank_correlation(maps_a, maps_b):
    out = []
    for a, b in zip(maps_a, maps_b):
        r, s = {ranks}
        flat = np.ptp(a) == 0 or np.ptp(b) == 0
        out.append({flat} if flat else np.corrcoef(r, s)[0, 1])
    return np.array(out)
"""


def pointing(lesion=SKIP, score="mask[values == values.max()].mean()"):
    return POINTING.format(lesion=lesion, score=score)


def energy(positive="np.maximum(maps, 0)", total="positive.sum((1, 2))", empty="np.nan"):
    return ENERGY.format(positive=positive, total=total, empty=empty)


def iou(
    found="values >= fraction * values.max()",
    guard="(values.max() > 0)",
    score="(found & mask).sum() / (found | mask).sum()",
):
    return IOU.format(found=found, guard=guard, score=score)


def effect(shift="(b - a).mean()", flips="(x != y).mean()"):
    return EFFECT.format(shift=shift, flips=flips)


def ranks(ranks="rankdata(a.ravel()), rankdata(b.ravel())", flat="np.nan"):
    return RANKS.format(ranks=ranks, flat=flat)


WRONG = {
    "images without a lesion are misses": {
        "task": "pointing_game",
        "check": "hits_and_misses",
        "says": "leave them out",
        "code": pointing(lesion="pass"),
    },
    "the first of several largest values": {
        "task": "pointing_game",
        "check": "fraction_of_several_largest",
        "says": "only the first",
        "code": pointing(score="mask.flat[values.argmax()]"),
    },
    "any of several largest values": {
        "task": "pointing_game",
        "check": "fraction_of_several_largest",
        "says": "full hit",
        "code": pointing(score="mask[values == values.max()].any()"),
    },
    "the largest absolute value": {
        "task": "pointing_game",
        "check": "hits_and_misses",
        "says": "absolute",
        "code": pointing(score="mask[np.abs(values) == np.abs(values).max()].mean()"),
    },
    "a blank map is pointed at everywhere": {
        "task": "pointing_game",
        "check": "blank_maps_and_no_lesion",
        "says": "blank",
        "code": """
def pointing_game(maps, masks):
    scores = [k[m == m.max()].mean() for m, k in zip(np.maximum(maps, 0), masks) if k.any()]
    return np.mean(scores) if scores else np.nan
""",
    },
    "negative values kept": {
        "task": "energy_inside",
        "check": "fraction_of_the_positive_values",
        "says": "negative values",
        "code": energy(positive="maps", total="np.abs(maps.sum((1, 2))) * np.sign(maps.sum((1, 2)))").replace(
            "np.where(total > 0, total, 1)", "np.where(total == 0, 1, total)"
        ),
    },
    "absolute values": {
        "task": "energy_inside",
        "check": "fraction_of_the_positive_values",
        "says": "absolute values",
        "code": energy(positive="np.abs(maps)"),
    },
    "the sum of all images": {
        "task": "energy_inside",
        "check": "fraction_of_the_positive_values",
        "says": "every map has its own",
        "code": energy(total="positive.sum()"),
    },
    "the mean inside": {
        "task": "energy_inside",
        "check": "fraction_of_the_positive_values",
        "says": "mean inside",
        "code": """
def energy_inside(maps, masks):
    return np.array([np.maximum(m, 0)[k].mean() if k.any() else np.nan for m, k in zip(maps, masks)])
""",
    },
    "divided by a sum of zero": {
        "task": "energy_inside",
        "check": "blank_maps_have_no_energy",
        "says": "divided by zero",
        "code": """
def energy_inside(maps, masks):
    positive = np.maximum(maps, 0)
    fraction = (positive * masks).sum((1, 2)) / positive.sum((1, 2))
    return np.where(masks.any((1, 2)), fraction, np.nan)
""",
    },
    "no lesion scores 0": {
        "task": "energy_inside",
        "check": "no_lesion_is_no_answer",
        "says": "give it nan",
        "code": energy(empty="0"),
    },
    "the fraction is the threshold": {
        "task": "iou_at",
        "check": "overlap_of_each_image",
        "says": "multiply it",
        "code": iou(found="values >= fraction"),
    },
    "one maximum for all": {
        "task": "iou_at",
        "check": "overlap_of_each_image",
        "says": "one maximum for all",
        "code": iou(found="values >= fraction * maps.max()"),
    },
    "the Dice score": {
        "task": "iou_at",
        "check": "overlap_of_each_image",
        "says": "Dice",
        "code": iou(score="2 * (found & mask).sum() / (found.sum() + mask.sum())"),
    },
    "recall": {
        "task": "iou_at",
        "check": "overlap_of_each_image",
        "says": "recall",
        "code": iou(score="(found & mask).sum() / mask.sum()"),
    },
    "strictly above the threshold": {
        "task": "iou_at",
        "check": "values_on_the_threshold",
        "says": "exactly on the threshold",
        "code": iou(found="values > fraction * values.max()"),
    },
    "a blank map finds everything": {
        "task": "iou_at",
        "check": "blank_maps_and_missing_lesions",
        "says": "blank map finds nothing",
        "code": iou(guard="True"),
    },
    "ties count 0": {
        "task": "marker_alone",
        "check": "auc_of_the_marker",
        "says": "count 0",
        "code": """
def marker_alone(labels, marked):
    ill, healthy = marked[labels == 1].astype(int), marked[labels == 0].astype(int)
    return (ill[:, None] > healthy).mean() if len(ill) and len(healthy) else np.nan
""",
    },
    "ties count 1": {
        "task": "marker_alone",
        "check": "auc_of_the_marker",
        "says": "count 1",
        "code": """
def marker_alone(labels, marked):
    ill, healthy = marked[labels == 1].astype(int), marked[labels == 0].astype(int)
    return (ill[:, None] >= healthy).mean() if len(ill) and len(healthy) else np.nan
""",
    },
    "the accuracy": {
        "task": "marker_alone",
        "check": "auc_of_the_marker",
        "says": "accuracy",
        "code": """
def marker_alone(labels, marked):
    return (labels == marked).mean() if 0 < labels.mean() < 1 else np.nan
""",
    },
    "turned to the good side": {
        "task": "marker_alone",
        "check": "marker_of_the_healthy",
        "says": "turned to the side above",
        "code": """
def marker_alone(labels, marked):
    if labels.min() == labels.max():
        return np.nan
    auc = 0.5 + (marked[labels == 1].mean() - marked[labels == 0].mean()) / 2
    return max(auc, 1 - auc)
""",
    },
    "one class gives one half": {
        "task": "marker_alone",
        "check": "one_class_is_missing",
        "says": "one class only",
        "code": """
def marker_alone(labels, marked):
    if labels.min() == labels.max():
        return 0.5
    return 0.5 + (marked[labels == 1].mean() - marked[labels == 0].mean()) / 2
""",
    },
    "the sign turned round": {
        "task": "counterfactual_effect",
        "check": "mean_change",
        "says": "sign is turned",
        "code": effect(shift="(a - b).mean()"),
    },
    "absolute changes": {
        "task": "counterfactual_effect",
        "check": "mean_change",
        "says": "absolute",
        "code": effect(shift="np.abs(b - a).mean()"),
    },
    "flips that cancel": {
        "task": "counterfactual_effect",
        "check": "changed_answers",
        "says": "cancelled",
        "code": effect(flips="abs(x.mean() - y.mean())"),
    },
    "large changes are flips": {
        "task": "counterfactual_effect",
        "check": "changed_answers",
        "says": "changes above 0.5",
        "code": effect(flips="(np.abs(a - b) > 0.5).mean()"),
    },
    "one half is healthy": {
        "task": "counterfactual_effect",
        "check": "exactly_one_half",
        "says": "exactly 0.5",
        "code": effect().replace(">=", ">"),
    },
    "Pearson's correlation": {
        "task": "rank_correlation",
        "check": "correlation_of_ranks",
        "says": "Pearson",
        "code": ranks(ranks="a.ravel(), b.ravel()"),
    },
    "argsort as ranks": {
        "task": "rank_correlation",
        "check": "correlation_of_ranks",
        "says": "argsort gives no ranks",
        "code": ranks(ranks="a.ravel().argsort(), b.ravel().argsort()"),
    },
    "all images in one": {
        "task": "rank_correlation",
        "check": "correlation_of_ranks",
        "says": "one for each image",
        "code": """
def rank_correlation(maps_a, maps_b):
    return np.corrcoef(rankdata(maps_a), rankdata(maps_b))[0, 1]
""",
    },
    "ranks by position": {
        "task": "rank_correlation",
        "check": "equal_values_share_a_rank",
        "says": "different ranks",
        "code": ranks(ranks='rankdata(a.ravel(), "ordinal"), rankdata(b.ravel(), "ordinal")'),
    },
    "a flat map correlates with 0": {
        "task": "rank_correlation",
        "check": "maps_without_an_order",
        "says": "give it nan",
        "code": ranks(flat="0.0"),
    },
}
CORRECT = {
    "with numpy arrays of all images at once": {
        "task": "pointing_game",
        "code": """
def pointing_game(maps, masks):
    keep = masks.reshape(len(masks), -1).any(axis=-1)
    if not keep.any():
        return np.nan
    maps, masks = maps[keep], masks[keep]
    peaks = (maps == maps.max(axis=(1, 2), keepdims=True)) & (maps > 0)
    return np.float32((peaks & masks).sum((1, 2)) / np.maximum(peaks.sum((1, 2)), 1)).mean()
""",
    },
    "pixel by pixel, as a list": {
        "task": "energy_inside",
        "code": """
def energy_inside(maps, masks):
    result = []
    for m, k in zip(maps.tolist(), masks.tolist()):
        whole = inside = pixels = 0.0
        for row, mask_row in zip(m, k):
            for value, flag in zip(row, mask_row):
                pixels += flag
                if value > 0:
                    whole += value
                    inside += value * flag
        result.append(float("nan") if not pixels else inside / whole if whole else 0.0)
    return result
""",
    },
    "with sets of pixels": {
        "task": "iou_at",
        "code": """
def iou_at(maps, masks, fraction):
    result = []
    for m, k in zip(maps, masks):
        lesion = set(np.flatnonzero(k))
        found = set(np.flatnonzero(m >= fraction * m.max())) if m.max() > 0 else set()
        result.append(len(found & lesion) / len(found | lesion) if lesion else float("nan"))
    return tuple(result)
""",
    },
    "with sklearn": {
        "task": "marker_alone",
        "code": """
from sklearn.metrics import roc_auc_score

def marker_alone(labels, marked):
    if len(set(labels.tolist())) < 2:
        return float("nan")
    return roc_auc_score(labels, marked)
""",
    },
    "with all pairs": {
        "task": "marker_alone",
        "code": """
def marker_alone(labels, marked):
    ill, healthy = marked[labels == 1].astype(float), marked[labels == 0].astype(float)
    if not len(ill) * len(healthy):
        return np.nan
    return (np.sign(ill[:, None] - healthy) / 2 + 0.5).mean()
""",
    },
    "as arrays, with other keys in front": {
        "task": "counterfactual_effect",
        "code": """
def counterfactual_effect(with_marker, without_marker):
    answers = np.stack([with_marker, without_marker]) >= 0.5
    change = np.average(without_marker) - np.average(with_marker)
    return {"images": len(with_marker), "flips": np.logical_xor(*answers).mean(), "shift": np.array(change)}
""",
    },
    "with spearmanr": {
        "task": "rank_correlation",
        "code": """
import warnings
from scipy.stats import spearmanr

def rank_correlation(maps_a, maps_b):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [spearmanr(a, b, axis=None)[0] for a, b in zip(maps_a, maps_b)]
""",
    },
}

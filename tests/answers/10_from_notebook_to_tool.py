"""Answers that the checks of exercise 10 must judge rightly."""

WRONG = {
    "mean of the logits": {
        "task": "tta_probabilities",
        "check": "mean_over_the_views",
        "says": "logits were averaged",
        "code": """
def tta_probabilities(images, weights, names):
    return softmax(np.mean([network(view(images, name), weights) for name in names], axis=0))
""",
    },
    "votes of the views": {
        "task": "tta_probabilities",
        "check": "mean_over_the_views",
        "says": "votes were counted",
        "code": """
def tta_probabilities(images, weights, names):
    k = len(weights)
    return np.mean([np.eye(k)[network(view(images, name), weights).argmax(axis=1)] for name in names], axis=0)
""",
    },
    "views not applied": {
        "task": "tta_probabilities",
        "check": "mean_over_the_views",
        "says": "images were not changed",
        "code": """
def tta_probabilities(images, weights, names):
    return np.mean([softmax(network(images, weights)) for name in names], axis=0)
""",
    },
    "adds the original": {
        "task": "tta_probabilities",
        "check": "any_number_of_views",
        "says": "one more view",
        "code": """
def tta_probabilities(images, weights, names):
    names = ["same"] + [name for name in names if name != "same"]
    return np.mean([softmax(network(view(images, name), weights)) for name in names], axis=0)
""",
    },
    "every view only once": {
        "task": "tta_probabilities",
        "check": "any_number_of_views",
        "says": "counts twice",
        "code": """
def tta_probabilities(images, weights, names):
    return np.mean([softmax(network(view(images, name), weights)) for name in set(names)], axis=0)
""",
    },
    "maps not undone": {
        "task": "tta_map",
        "check": "maps_over_the_image",
        "says": "were not undone",
        "code": """
def tta_map(images, weights, names, c):
    return np.mean([heat_map(view(images, name), weights, c) for name in names], axis=0)
""",
    },
    "the view once more": {
        "task": "tta_map",
        "check": "maps_over_the_image",
        "says": "in place of its opposite",
        "code": """
def tta_map(images, weights, names, c):
    return np.mean([view(heat_map(view(images, name), weights, c), name) for name in names], axis=0)
""",
    },
    "only the flip undone": {
        "task": "tta_map",
        "check": "maps_over_the_image",
        "says": "only the flip was undone",
        "code": """
def tta_map(images, weights, names, c):
    maps = []
    for name in names:
        m = heat_map(view(images, name), weights, c)
        maps.append(m[:, :, ::-1] if "flip" in name else m)
    return np.mean(maps, axis=0)
""",
    },
    "sum of the maps": {
        "task": "tta_map",
        "check": "maps_over_the_image",
        "says": "added up",
        "code": """
def tta_map(images, weights, names, c):
    total = 0
    for name in names:
        back = [{"left": "right", "right": "left"}.get(step, step) for step in name.split()]
        total = total + view(heat_map(view(images, name), weights, c), " ".join(back[::-1]))
    return total
""",
    },
    "first step undone first": {
        "task": "tta_map",
        "check": "last_step_first",
        "says": "undo the last step first",
        "code": """
def tta_map(images, weights, names, c):
    maps = []
    for name in names:
        back = " ".join({"left": "right", "right": "left"}.get(step, step) for step in name.split())
        maps.append(view(heat_map(view(images, name), weights, c), back))
    return np.mean(maps, axis=0)
""",
    },
    "ensemble of logits": {
        "task": "ensemble",
        "check": "mean_over_the_networks",
        "says": "logits were averaged",
        "code": """
def ensemble(logits):
    probs = softmax(logits.mean(axis=0))
    return probs, np.mean(logits.argmax(axis=2) != probs.argmax(axis=1), axis=0)
""",
    },
    "ensemble of votes": {
        "task": "ensemble",
        "check": "mean_over_the_networks",
        "says": "votes were counted",
        "code": """
def ensemble(logits):
    votes = np.eye(logits.shape[2])[logits.argmax(axis=2)].mean(axis=0)
    return votes, 1 - votes.max(axis=1)
""",
    },
    "softmax along the networks": {
        "task": "ensemble",
        "check": "mean_over_the_networks",
        "says": "along the networks",
        "code": """
def ensemble(logits):
    e = np.exp(logits)
    probs = (e / e.sum(axis=0)).mean(axis=0)
    return probs, np.mean(logits.argmax(axis=2) != probs.argmax(axis=1), axis=0)
""",
    },
    "fraction that agrees": {
        "task": "ensemble",
        "check": "fraction_of_other_answers",
        "says": "fraction that agrees",
        "code": """
def ensemble(logits):
    probs = softmax(logits).mean(axis=0)
    return probs, np.mean(logits.argmax(axis=2) == probs.argmax(axis=1), axis=0)
""",
    },
    "dissent from the majority": {
        "task": "ensemble",
        "check": "fraction_of_other_answers",
        "says": "majority of the votes",
        "code": """
def ensemble(logits):
    probs = softmax(logits).mean(axis=0)
    votes = np.eye(logits.shape[2])[logits.argmax(axis=2)].mean(axis=0)
    return probs, 1 - votes.max(axis=1)
""",
    },
    "number of networks": {
        "task": "ensemble",
        "check": "fraction_of_other_answers",
        "says": "number of networks",
        "code": """
def ensemble(logits):
    probs = softmax(logits).mean(axis=0)
    return probs, np.sum(logits.argmax(axis=2) != probs.argmax(axis=1), axis=0)
""",
    },
    "multiplies the logits": {
        "task": "fit_temperature",
        "check": "too_sure",
        "says": "multiplied by T",
        "code": """
def fit_temperature(logits, labels):
    grid, rows = np.geomspace(0.05, 20, 2000), np.arange(len(labels))
    return grid[np.argmin([-np.log(softmax(logits * t)[rows, labels] + 1e-300).mean() for t in grid])]
""",
    },
    "looks for the best accuracy": {
        "task": "fit_temperature",
        "check": "too_sure",
        "says": "end of the range",
        "code": """
def fit_temperature(logits, labels):
    grid = np.geomspace(0.05, 20, 500)
    return grid[np.argmax([np.mean((logits / t).argmax(axis=1) == labels) for t in grid])]
""",
    },
    "largest loss": {
        "task": "fit_temperature",
        "check": "too_modest",
        "says": "end of the range",
        "code": """
def fit_temperature(logits, labels):
    grid, rows = np.geomspace(0.05, 20, 500), np.arange(len(labels))
    return grid[np.argmin([np.log(softmax(logits / t)[rows, labels] + 1e-300).mean() for t in grid])]
""",
    },
    "divides the probabilities": {
        "task": "fit_temperature",
        "check": "too_sure",
        "says": "probabilities were divided",
        "code": """
def fit_temperature(logits, labels):
    grid, rows = np.geomspace(0.05, 20, 2000), np.arange(len(labels))
    probs = softmax(logits)
    return grid[np.argmin([-np.log(softmax(probs / t)[rows, labels]).mean() for t in grid])]
""",
    },
    "softmax twice": {
        "task": "fit_temperature",
        "check": "too_modest",
        "says": "applied twice",
        "code": """
def fit_temperature(logits, labels):
    grid, rows = np.geomspace(0.05, 20, 2000), np.arange(len(labels))
    return grid[np.argmin([-np.log(softmax(softmax(logits / t))[rows, labels]).mean() for t in grid])]
""",
    },
    "always 1": {
        "task": "fit_temperature",
        "check": "too_sure",
        "says": "no change at all",
        "code": """
def fit_temperature(logits, labels):
    return 1.0
""",
    },
    "exp overflows": {
        "task": "fit_temperature",
        "check": "huge_logits",
        "says": "overflows",
        "code": """
def fit_temperature(logits, labels):
    grid, rows = np.geomspace(0.05, 20, 2000), np.arange(len(labels))
    with np.errstate(all="ignore"):
        losses = []
        for t in grid:
            e = np.exp(logits / t)
            losses.append(-np.log(e[rows, labels] / e.sum(axis=1)).mean())
    return grid[np.argmin(losses)]
""",
    },
    "every bin counts the same": {
        "task": "calibration_error",
        "check": "gaps_by_images",
        "says": "counts the same",
        "code": """
def calibration_error(probs, labels):
    sure, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    bins = np.ceil(sure * 10)
    return np.mean([abs(right[bins == b].mean() - sure[bins == b].mean()) for b in np.unique(bins)])
""",
    },
    "one gap over all": {
        "task": "calibration_error",
        "check": "gaps_by_images",
        "says": "all images at once",
        "code": """
def calibration_error(probs, labels):
    return abs(np.mean(probs.argmax(axis=1) == labels) - probs.max(axis=1).mean())
""",
    },
    "largest gap": {
        "task": "calibration_error",
        "check": "gaps_by_images",
        "says": "maximum calibration error",
        "code": """
def calibration_error(probs, labels):
    sure, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    bins = np.ceil(sure * 10)
    return max(abs(right[bins == b].mean() - sure[bins == b].mean()) for b in np.unique(bins))
""",
    },
    "gaps cancel": {
        "task": "calibration_error",
        "check": "gaps_by_images",
        "says": "opposite sign",
        "code": """
def calibration_error(probs, labels):
    sure, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    bins = np.ceil(sure * 10)
    return sum((bins == b).mean() * (right[bins == b].mean() - sure[bins == b].mean()) for b in np.unique(bins))
""",
    },
    "confidence of the true class": {
        "task": "calibration_error",
        "check": "gaps_by_images",
        "says": "not the probability of the true",
        "code": """
def calibration_error(probs, labels):
    sure, right = probs[np.arange(len(labels)), labels], probs.argmax(axis=1) == labels
    bins = np.ceil(sure * 10)
    return sum((bins == b).mean() * abs(right[bins == b].mean() - sure[bins == b].mean()) for b in np.unique(bins))
""",
    },
    "mean of nothing": {
        "task": "calibration_error",
        "check": "bins_without_images",
        "says": "nan",
        "code": """
import warnings


def calibration_error(probs, labels):
    sure, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    error = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for b in range(10):
            here = (sure > b / 10) & (sure <= (b + 1) / 10)
            error += here.mean() * abs(right[here].mean() - sure[here].mean())
    return error
""",
    },
    "1.0 falls out": {
        "task": "calibration_error",
        "check": "on_the_edge",
        "says": "fell out of the last bin",
        "code": """
def calibration_error(probs, labels):
    sure, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    error = 0.0
    for b in range(10):
        here = (sure >= b / 10) & (sure < (b + 1) / 10)
        if here.any():
            error += here.mean() * abs(right[here].mean() - sure[here].mean())
    return error
""",
    },
    "left edges": {
        "task": "calibration_error",
        "check": "on_the_edge",
        "says": "upper bin",
        "code": """
def calibration_error(probs, labels):
    sure, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    bins = np.minimum(np.floor(sure * 10), 9)
    return sum((bins == b).mean() * abs(right[bins == b].mean() - sure[bins == b].mean()) for b in np.unique(bins))
""",
    },
    "without the half and the one": {
        "task": "dicom_window",
        "check": "formula_of_the_standard",
        "says": "both are missing",
        "code": """
def dicom_window(pixels, header):
    x = pixels * header["slope"] + header["intercept"]
    y = np.clip((x - header["center"]) / header["width"] + 0.5, 0, 1) * 255
    if header["photometric"] == "MONOCHROME1":
        y = 255 - y
    return np.rint(y).astype(np.uint8)
""",
    },
    "w in place of w - 1": {
        "task": "dicom_window",
        "check": "formula_of_the_standard",
        "says": "w - 1, not w",
        "code": """
def dicom_window(pixels, header):
    x = pixels * header["slope"] + header["intercept"]
    y = np.clip((x - (header["center"] - 0.5)) / header["width"] + 0.5, 0, 1) * 255
    if header["photometric"] == "MONOCHROME1":
        y = 255 - y
    return np.rint(y).astype(np.uint8)
""",
    },
    "not clipped": {
        "task": "dicom_window",
        "check": "formula_of_the_standard",
        "says": "wrap around",
        "code": """
def dicom_window(pixels, header):
    x = pixels * header["slope"] + header["intercept"]
    y = ((x - (header["center"] - 0.5)) / max(header["width"] - 1, 1e-9) + 0.5) * 255
    if header["photometric"] == "MONOCHROME1":
        y = 255 - y
    return np.rint(y).astype(np.int64).astype(np.uint8)
""",
    },
    "decimals cut off": {
        "task": "dicom_window",
        "check": "formula_of_the_standard",
        "says": "decimals were cut off",
        "code": """
def dicom_window(pixels, header):
    x = pixels * header["slope"] + header["intercept"]
    y = np.clip((x - (header["center"] - 0.5)) / max(header["width"] - 1, 1e-9) + 0.5, 0, 1) * 255
    if header["photometric"] == "MONOCHROME1":
        y = 255 - y
    return y.astype(np.uint8)
""",
    },
    "stays a float": {
        "task": "dicom_window",
        "check": "formula_of_the_standard",
        "says": "type uint8",
        "code": """
def dicom_window(pixels, header):
    x = pixels * header["slope"] + header["intercept"]
    y = np.clip((x - (header["center"] - 0.5)) / max(header["width"] - 1, 1e-9) + 0.5, 0, 1) * 255
    return np.rint(255 - y if header["photometric"] == "MONOCHROME1" else y)
""",
    },
    "window ignored": {
        "task": "dicom_window",
        "check": "formula_of_the_standard",
        "says": "window was ignored",
        "code": """
def dicom_window(pixels, header):
    x = pixels * header["slope"] + header["intercept"]
    y = (x - x.min()) / (x.max() - x.min()) * 255
    return np.rint(255 - y if header["photometric"] == "MONOCHROME1" else y).astype(np.uint8)
""",
    },
    "no rescaling": {
        "task": "dicom_window",
        "check": "rescaled_before",
        "says": "were not used",
        "code": """
def dicom_window(pixels, header):
    y = np.clip((pixels - (header["center"] - 0.5)) / max(header["width"] - 1, 1e-9) + 0.5, 0, 1) * 255
    return np.rint(255 - y if header["photometric"] == "MONOCHROME1" else y).astype(np.uint8)
""",
    },
    "intercept first": {
        "task": "dicom_window",
        "check": "rescaled_before",
        "says": "before the slope",
        "code": """
def dicom_window(pixels, header):
    x = (pixels + header["intercept"]) * header["slope"]
    y = np.clip((x - (header["center"] - 0.5)) / max(header["width"] - 1, 1e-9) + 0.5, 0, 1) * 255
    return np.rint(255 - y if header["photometric"] == "MONOCHROME1" else y).astype(np.uint8)
""",
    },
    "never inverted": {
        "task": "dicom_window",
        "check": "small_values_bright",
        "says": "was not inverted",
        "code": """
def dicom_window(pixels, header):
    x = pixels * header["slope"] + header["intercept"]
    y = np.clip((x - (header["center"] - 0.5)) / max(header["width"] - 1, 1e-9) + 0.5, 0, 1) * 255
    return np.rint(y).astype(np.uint8)
""",
    },
    "inverted before the window": {
        "task": "dicom_window",
        "check": "small_values_bright",
        "says": "before the window",
        "code": """
def dicom_window(pixels, header):
    x = pixels * header["slope"] + header["intercept"]
    if header["photometric"] == "MONOCHROME1":
        x = x.max() - x
    y = np.clip((x - (header["center"] - 0.5)) / max(header["width"] - 1, 1e-9) + 0.5, 0, 1) * 255
    return np.rint(y).astype(np.uint8)
""",
    },
    "threshold at the center": {
        "task": "dicom_window",
        "check": "width_of_one",
        "says": "not c",
        "code": """
def dicom_window(pixels, header):
    x = pixels * header["slope"] + header["intercept"]
    if header["width"] == 1:
        y = np.where(x > header["center"], 255.0, 0.0)
    else:
        y = np.clip((x - (header["center"] - 0.5)) / (header["width"] - 1) + 0.5, 0, 1) * 255
    return np.rint(255 - y if header["photometric"] == "MONOCHROME1" else y).astype(np.uint8)
""",
    },
    "the edge of a narrow window": {
        "task": "dicom_window",
        "check": "width_of_one",
        "says": "below the window",
        "code": """
def dicom_window(pixels, header):
    x = pixels * header["slope"] + header["intercept"]
    if header["width"] == 1:
        y = np.where(x >= header["center"] - 0.5, 255.0, 0.0)
    else:
        y = np.clip((x - (header["center"] - 0.5)) / (header["width"] - 1) + 0.5, 0, 1) * 255
    return np.rint(255 - y if header["photometric"] == "MONOCHROME1" else y).astype(np.uint8)
""",
    },
}

CORRECT = {
    "running sum in float32": {
        "task": "tta_probabilities",
        "code": """
def tta_probabilities(images, weights, names):
    total = np.zeros((len(images), len(weights)), dtype=np.float32)
    for name in names:
        e = np.exp(network(view(images, name), weights))
        total += (e / e.sum(axis=1, keepdims=True)).astype(np.float32)
    return (total / len(names)).tolist()
""",
    },
    "map by moving an index": {
        "task": "tta_map",
        "code": """
def tta_map(images, weights, names, c):
    n, h, w = images.shape
    maps = np.zeros(images.shape)
    for name in names:
        seen = view(np.tile(np.arange(w), (1, h, 1)), name)[0, 0]  # the old column of each new one
        maps[:, :, seen] += heat_map(view(images, name), weights, c) / len(names)
    return maps
""",
    },
    "ensemble with loops": {
        "task": "ensemble",
        "code": """
def ensemble(logits):
    m, n, k = logits.shape
    probs, dissent = np.zeros((n, k)), []
    for one in logits:
        probs += softmax(one) / m
    for i in range(n):
        common = int(np.argmax(probs[i]))
        dissent.append(sum(int(np.argmax(one[i])) != common for one in logits) / m)
    return [probs, dissent]
""",
    },
    "temperature on a grid": {
        "task": "fit_temperature",
        "code": """
def fit_temperature(logits, labels):
    z = logits - logits[np.arange(len(labels)), labels][:, None]
    z = z.astype(float)
    grid = np.geomspace(0.05, 20, 1500)

    def loss(t):
        top = (z / t).max(axis=1)
        return (top + np.log(np.exp(z / t - top[:, None]).sum(axis=1))).mean()

    return np.array([grid[np.argmin([loss(t) for t in grid])]])
""",
    },
    "temperature where the slope is zero": {
        "task": "fit_temperature",
        "code": """
def fit_temperature(logits, labels):
    true = logits[np.arange(len(labels)), labels]
    low, high = 1 / 20, 1 / 0.05  # of 1 / T; the slope of the loss rises with it
    for _ in range(60):
        b = (low + high) / 2
        slope = np.mean((softmax(logits * b) * logits).sum(axis=1) - true)
        low, high = (b, high) if slope < 0 else (low, b)
    return 2 / (low + high)
""",
    },
    "temperature from scipy": {
        "task": "fit_temperature",
        "code": """
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax


def fit_temperature(logits, labels):
    rows = np.arange(len(labels))
    return minimize_scalar(lambda t: -log_softmax(logits / t, axis=1)[rows, labels].mean(), bounds=(0.05, 20),
                           method="bounded").x
""",
    },
    "ECE with bincount": {
        "task": "calibration_error",
        "code": """
def calibration_error(probs, labels):
    sure, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    bins = np.ceil(sure * 10).astype(int) - 1
    return np.abs(np.bincount(bins, right, 10) - np.bincount(bins, sure, 10)).sum() / len(labels)
""",
    },
    "ECE with the edges of linspace": {
        "task": "calibration_error",
        "code": """
def calibration_error(probs, labels):
    edges = np.linspace(0, 1, 11)
    error = 0.0
    sure, answer = np.max(probs, 1), np.argmax(probs, 1)
    for low, high in zip(edges[:-1], edges[1:]):
        here = (sure > low) & (sure <= high)
        if here.sum():
            error += abs((answer[here] == labels[here]).sum() - sure[here].sum())
    return error / len(labels)
""",
    },
    "window with a table of all values": {
        "task": "dicom_window",
        "code": """
def dicom_window(pixels, header):
    m, w = header["center"] - 0.5, header["width"] - 1

    def gray(stored):
        x = stored * header["slope"] + header["intercept"]
        y = 0.0 if x <= m - w / 2 else 255.0 if x > m + w / 2 else ((x - m) / w + 0.5) * 255
        return int((255 - y if header["photometric"].endswith("1") else y) + 0.5)

    table = {int(v): gray(float(v)) for v in np.unique(pixels)}
    return np.array([[table[int(v)] for v in row] for row in pixels], dtype="uint8")
""",
    },
    "window in float32": {
        "task": "dicom_window",
        "code": """
def dicom_window(pixels, header):
    x = pixels.astype(np.float32) * np.float32(header["slope"]) + np.float32(header["intercept"])
    low = np.float32(header["center"] - 0.5 - (header["width"] - 1) / 2)
    if header["width"] == 1:
        y = 255 * (x > low)
    else:
        y = np.interp(x, [low, low + header["width"] - 1], [0, 255])
    return np.uint8(np.round(y if header["photometric"] == "MONOCHROME2" else 255 - y))
""",
    },
}

"""Answers that the checks of exercise 03 must judge rightly."""

WRONG = {
    "rows and columns swapped": {
        "task": "confusion_matrix",
        "check": "rows_are_the_truth",
        "says": "swapped",
        "code": """
def confusion_matrix(labels, predicted, classes):
    matrix = np.zeros((classes, classes), dtype=int)
    np.add.at(matrix, (predicted, labels), 1)
    return matrix
""",
    },
    "adds up without a loop": {
        "task": "confusion_matrix",
        "check": "rows_are_the_truth",
        "says": "counted once",
        "code": """
def confusion_matrix(labels, predicted, classes):
    matrix = np.zeros((classes, classes), dtype=int)
    matrix[labels, predicted] += 1
    return matrix
""",
    },
    "only the classes that occur": {
        "task": "confusion_matrix",
        "check": "classes_without_images",
        "says": "without images",
        "code": """
def confusion_matrix(labels, predicted, classes):
    names = np.unique([labels, predicted])
    return np.array([[np.sum((labels == i) & (predicted == j)) for j in names] for i in names])
""",
    },
    "fractions of each row": {
        "task": "confusion_matrix",
        "check": "rows_are_the_truth",
        "says": "whole numbers",
        "code": """
def confusion_matrix(labels, predicted, classes):
    matrix = np.zeros((classes, classes))
    np.add.at(matrix, (labels, predicted), 1)
    return matrix / matrix.sum(1, keepdims=True)
""",
    },
    "precision and recall swapped": {
        "task": "class_scores",
        "check": "recall_of_each_class",
        "says": "this is the precision",
        "code": """
def class_scores(matrix):
    right, true, called = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    return right / np.maximum(true, 1), right / np.maximum(called, 1), 2 * right / np.maximum(true + called, 1)
""",
    },
    "accuracy where recall was asked": {
        "task": "class_scores",
        "check": "recall_of_each_class",
        "says": "the accuracy of each class",
        "code": """
def class_scores(matrix):
    right, true, called = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    accuracy = (matrix.sum() - true - called + 2 * right) / matrix.sum()
    return right / np.maximum(called, 1), accuracy, 2 * right / np.maximum(true + called, 1)
""",
    },
    "the plain mean as F1": {
        "task": "class_scores",
        "check": "harmonic_mean",
        "says": "harmonic",
        "code": """
def class_scores(matrix):
    right, true, called = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    precision, recall = right / np.maximum(called, 1), right / np.maximum(true, 1)
    return precision, recall, (precision + recall) / 2
""",
    },
    "divided by all images": {
        "task": "class_scores",
        "check": "precision_of_each_class",
        "says": "number of all images",
        "code": """
def class_scores(matrix):
    right, true, called = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    return right / matrix.sum(), right / np.maximum(true, 1), 2 * right / np.maximum(true + called, 1)
""",
    },
    "nan for a class never called": {
        "task": "class_scores",
        "check": "zero_by_zero",
        "says": "nan",
        "code": """
def class_scores(matrix):
    precision = np.diag(matrix) / matrix.sum(axis=0)
    recall = np.diag(matrix) / matrix.sum(axis=1)
    return precision, recall, 2 * precision * recall / (precision + recall)
""",
    },
    "equal scores count nothing": {
        "task": "auc",
        "check": "equal_scores_count_half",
        "says": "equal scores count 0",
        "code": """
def auc(labels, scores):
    return np.mean(scores[labels == 1][:, None] > scores[labels == 0])
""",
    },
    "equal scores count fully": {
        "task": "auc",
        "check": "equal_scores_count_half",
        "says": "equal scores count 1",
        "code": """
def auc(labels, scores):
    return np.mean(scores[labels == 1][:, None] >= scores[labels == 0])
""",
    },
    "ill and healthy swapped": {
        "task": "auc",
        "check": "fraction_of_ordered_pairs",
        "says": "swapped",
        "code": """
def auc(labels, scores):
    a, b = scores[labels == 0][:, None], scores[labels == 1]
    return np.mean((a > b) + 0.5 * (a == b))
""",
    },
    "a curve with one threshold": {
        "task": "auc",
        "check": "fraction_of_ordered_pairs",
        "says": "single threshold",
        "code": """
def auc(labels, scores):
    said = scores >= 0.5
    return (said[labels == 1].mean() + (~said[labels == 0]).mean()) / 2
""",
    },
    "chosen on the test": {
        "task": "choose_threshold",
        "check": "chosen_on_validation",
        "says": "chosen on the test",
        "code": """
def choose_threshold(val_labels, val_scores, test_labels, test_scores):
    def balanced(t):
        said = test_scores >= t
        return (said[test_labels == 1].mean() + (~said[test_labels == 0]).mean()) / 2
    best = max(np.unique(test_scores), key=balanced)
    return best, balanced(best)
""",
    },
    "the highest accuracy": {
        "task": "choose_threshold",
        "check": "chosen_on_validation",
        "says": "highest accuracy",
        "code": """
def choose_threshold(val_labels, val_scores, test_labels, test_scores):
    best = max(np.unique(val_scores), key=lambda t: np.mean((val_scores >= t) == val_labels))
    said = test_scores >= best
    return best, (said[test_labels == 1].mean() + (~said[test_labels == 0]).mean()) / 2
""",
    },
    "larger instead of at least": {
        "task": "choose_threshold",
        "check": "chosen_on_validation",
        "says": "score > threshold",
        "code": """
def choose_threshold(val_labels, val_scores, test_labels, test_scores):
    def balanced(labels, scores, t):
        return (np.mean(scores[labels == 1] > t) + np.mean(scores[labels == 0] <= t)) / 2
    best = max(np.unique(val_scores), key=lambda t: balanced(val_labels, val_scores, t))
    return best, balanced(test_labels, test_scores, best)
""",
    },
    "always one half": {
        "task": "choose_threshold",
        "check": "chosen_on_validation",
        "says": "habit",
        "code": """
def choose_threshold(val_labels, val_scores, test_labels, test_scores):
    said = test_scores >= 0.5
    return 0.5, (said[test_labels == 1].mean() + (~said[test_labels == 0]).mean()) / 2
""",
    },
    "reports the validation": {
        "task": "choose_threshold",
        "check": "measured_on_test",
        "says": "measured on the validation",
        "code": """
def choose_threshold(val_labels, val_scores, test_labels, test_scores):
    def balanced(t):
        said = val_scores >= t
        return (said[val_labels == 1].mean() + (~said[val_labels == 0]).mean()) / 2
    best = max(np.unique(val_scores), key=balanced)
    return best, balanced(best)
""",
    },
    "a grid from 0 to 1": {
        "task": "choose_threshold",
        "check": "scores_of_any_range",
        "says": "grid",
        "code": """
def choose_threshold(val_labels, val_scores, test_labels, test_scores):
    def balanced(labels, scores, t):
        return (np.mean(scores[labels == 1] >= t) + np.mean(scores[labels == 0] < t)) / 2
    best = max(np.linspace(0, 1, 1001), key=lambda t: balanced(val_labels, val_scores, t))
    return best, balanced(test_labels, test_scores, best)
""",
    },
    "draws images": {
        "task": "patient_interval",
        "check": "patients_not_images",
        "says": "images were drawn",
        "code": """
def patient_interval(correct, patients, draws, seed):
    drawn = np.random.default_rng(seed).integers(len(correct), size=(draws, len(correct)))
    return np.percentile(correct[drawn].mean(axis=1), [2.5, 97.5])
""",
    },
    "a patient drawn twice counts once": {
        "task": "patient_interval",
        "check": "patients_of_unequal_size",
        "says": "only once",
        "code": """
def patient_interval(correct, patients, draws, seed):
    rng, names = np.random.default_rng(seed), np.unique(patients)
    found = [correct[np.isin(patients, rng.choice(names, len(names)))].mean() for _ in range(draws)]
    return np.percentile(found, 2.5), np.percentile(found, 97.5)
""",
    },
    "the mean of the patients": {
        "task": "patient_interval",
        "check": "patients_of_unequal_size",
        "says": "counts as much as",
        "code": """
def patient_interval(correct, patients, draws, seed):
    means = np.array([correct[patients == p].mean() for p in np.unique(patients)])
    drawn = np.random.default_rng(seed).integers(len(means), size=(draws, len(means)))
    return np.percentile(means[drawn].mean(axis=1), [2.5, 97.5])
""",
    },
    "the middle 90 %": {
        "task": "patient_interval",
        "check": "patients_of_unequal_size",
        "says": "2.5 and 97.5",
        "code": """
def patient_interval(correct, patients, draws, seed):
    _, number = np.unique(patients, return_inverse=True)
    right, images = np.bincount(number, correct), np.bincount(number)
    drawn = np.random.default_rng(seed).integers(len(images), size=(draws, len(images)))
    return np.percentile(right[drawn].sum(axis=1) / images[drawn].sum(axis=1), [5, 95])
""",
    },
    "mean and standard deviation": {
        "task": "patient_interval",
        "check": "certain_cases",
        "says": "leaves 0 to 1",
        "code": """
def patient_interval(correct, patients, draws, seed):
    _, number = np.unique(patients, return_inverse=True)
    right, images = np.bincount(number, correct), np.bincount(number)
    drawn = np.random.default_rng(seed).integers(len(images), size=(draws, len(images)))
    found = right[drawn].sum(axis=1) / images[drawn].sum(axis=1)
    return found.mean() - 1.96 * found.std(), found.mean() + 1.96 * found.std()
""",
    },
    "no seed": {
        "task": "patient_interval",
        "check": "certain_cases",
        "says": "same seed",
        "code": """
def patient_interval(correct, patients, draws, seed):
    _, number = np.unique(patients, return_inverse=True)
    right, images = np.bincount(number, correct), np.bincount(number)
    drawn = np.random.randint(len(images), size=(draws, len(images)))
    return np.percentile(right[drawn].sum(axis=1) / images[drawn].sum(axis=1), [2.5, 97.5])
""",
    },
    "one for 0 by 0": {
        "task": "class_scores",
        "check": "zero_by_zero",
        "says": "it became 1",
        "code": """
def class_scores(m):
    r, t, c = np.diag(m), m.sum(1), m.sum(0)
    p = np.where(c>0, r/np.maximum(c,1), 1.); q = np.where(t>0, r/np.maximum(t,1), 1.)
    return p, q, 2*p*q/np.maximum(p+q, 1e-12)
""",
    },
    "equal scores by their place": {
        "task": "auc",
        "check": "equal_scores_count_half",
        "says": "by their place",
        "code": """
def auc(l, s):
    o = np.argsort(s); r = np.empty(len(s)); r[o] = np.arange(1, len(s)+1)
    n = (l==1).sum(); m = (l==0).sum()
    return (r[l==1].sum() - n*(n+1)/2)/(n*m)
""",
    },
    "the mean of the signs": {
        "task": "auc",
        "check": "fraction_of_ordered_pairs",
        "says": "mean of the signs",
        "code": """
def auc(l, s):
    a, b = s[l==1][:, None], s[l==0]
    return np.mean(np.sign(a-b))
""",
    },
    "the position of the threshold": {
        "task": "choose_threshold",
        "check": "chosen_on_validation",
        "says": "a position in the list",
        "code": """
def choose_threshold(vl, vs, tl, ts):
    def bal(l, s, t):
        return ((s[l == 1] >= t).mean() + (s[l == 0] < t).mean()) / 2
    cuts = np.unique(vs)
    best = np.argmax([bal(vl, vs, t) for t in cuts])
    return best, bal(tl, ts, best)
""",
    },
    "the generator made anew": {
        "task": "patient_interval",
        "check": "patients_not_images",
        "says": "every draw is the same",
        "code": """
def patient_interval(correct, patients, draws, seed):
    rng, names = np.random.default_rng(seed), np.unique(patients)
    out = []
    for _ in range(draws):
        rng = np.random.default_rng(seed)
        drawn = rng.choice(names, len(names))
        rows = np.concatenate([np.flatnonzero(patients == p) for p in drawn])
        out.append(correct[rows].mean())
    return np.percentile(out, 2.5), np.percentile(out, 97.5)
""",
    },
    "percentages": {
        "task": "patient_interval",
        "check": "patients_not_images",
        "says": "percentages",
        "code": """
def patient_interval(correct, patients, draws, seed):
    rng, names = np.random.default_rng(seed), np.unique(patients)
    out = []
    for _ in range(draws):
        drawn = rng.choice(names, len(names))
        rows = np.concatenate([np.flatnonzero(patients == p) for p in drawn])
        out.append(100*correct[rows].mean())
    return np.percentile(out, 2.5), np.percentile(out, 97.5)
""",
    },
    "mean and standard deviation, cut": {
        "task": "patient_interval",
        "check": "certain_cases",
        "says": "sixtieths",
        "code": """
def patient_interval(correct, patients, draws, seed):
    rng, names = np.random.default_rng(seed), np.unique(patients)
    out = []
    for _ in range(draws):
        drawn = rng.choice(names, len(names))
        rows = np.concatenate([np.flatnonzero(patients == p) for p in drawn])
        out.append(correct[rows].mean())
    return max(0, np.mean(out)-1.96*np.std(out)), min(1, np.mean(out)+1.96*np.std(out))
""",
    },
    "recalls with the old mix": {
        "task": "fall_apart",
        "check": "three_parts",
        "says": "new value already",
        "code": """
def fall_apart(before, after):
    (h, i), (h2, i2) = [np.diag(m) / m.sum(1) for m in (before, after)]
    s, s2 = [m[1].sum() / m.sum() for m in (before, after)]
    return (s2 - s) * (i - h), (1 - s) * (h2 - h), s * (i2 - i)
""",
    },
    "columns for rows": {
        "task": "fall_apart",
        "check": "three_parts",
        "says": "precisions",
        "code": """
def fall_apart(before, after):
    (h, i), (h2, i2) = [np.diag(m) / m.sum(0) for m in (before, after)]
    s, s2 = [m[1].sum() / m.sum() for m in (before, after)]
    return (s2 - s) * (i - h), (1 - s2) * (h2 - h), s2 * (i2 - i)
""",
    },
    "parts of images": {
        "task": "fall_apart",
        "check": "they_add_up",
        "says": "add up",
        "code": """
def fall_apart(before, after):
    (h, i), (h2, i2) = [np.diag(m) / m.sum(1) for m in (before, after)]
    s, s2 = [m[1].sum() / m.sum() for m in (before, after)]
    return s2 - s, h2 - h, i2 - i
""",
    },
}

CORRECT = {
    "one number for each pair": {
        "task": "confusion_matrix",
        "code": """
def confusion_matrix(labels, predicted, classes):
    pairs = labels * classes + predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes).astype("float32")
""",
    },
    "plain loops and lists": {
        "task": "class_scores",
        "code": '''
def class_scores(matrix):
    """Everything as Python numbers."""
    def ratio(a, b):
        return a / b if b else 0.0
    m = matrix.tolist()
    ks = range(len(m))
    recall = [ratio(m[k][k], sum(m[k])) for k in ks]
    precision = [ratio(m[k][k], sum(row[k] for row in m)) for k in ks]
    return [precision, recall, [ratio(2 * p * r, p + r) for p, r in zip(precision, recall)]]
''',
    },
    "one array of three rows": {
        "task": "class_scores",
        "code": """
def class_scores(matrix):
    with np.errstate(all="ignore"):
        p, r = np.nan_to_num(np.diag(matrix) / np.stack([matrix.sum(0), matrix.sum(1)]))
        return np.stack([p, r, np.nan_to_num(2 * p * r / (p + r))])
""",
    },
    "from ranks": {
        "task": "auc",
        "code": '''
def auc(labels, scores):
    """Mann and Whitney: the sum of the ranks of the ill, equal scores sharing the mean rank."""
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    n, m = (labels == 1).sum(), (labels == 0).sum()
    return (ranks[labels == 1].sum() - n * (n + 1) / 2) / (n * m)
''',
    },
    "from the curve": {
        "task": "auc",
        "code": """
def auc(labels, scores):
    cuts = np.append(np.inf, np.unique(scores)[::-1])
    x = [np.mean(scores[labels == 0] >= c) for c in cuts]
    y = [np.mean(scores[labels == 1] >= c) for c in cuts]
    return sum((x[i + 1] - x[i]) * (y[i + 1] + y[i]) / 2 for i in range(len(x) - 1))
""",
    },
    "the middle between two scores": {
        "task": "choose_threshold",
        "code": """
def choose_threshold(val_labels, val_scores, test_labels, test_scores):
    values = np.unique(val_scores)
    best, found = -1, None
    for t in (values[1:] + values[:-1]) / 2:
        recall = np.mean(val_scores[val_labels == 1] >= t)
        specificity = np.mean(val_scores[val_labels == 0] < t)
        if recall + specificity > best:
            best, found = recall + specificity, t
    return [found, (np.mean(test_scores[test_labels == 1] >= found)
                    + np.mean(test_scores[test_labels == 0] < found)) / 2]
""",
    },
    "joins the images of each draw": {
        "task": "patient_interval",
        "code": """
import random

def patient_interval(correct, patients, draws, seed):
    rows = {}
    for right, name in zip(correct.tolist(), patients.tolist()):
        rows.setdefault(name, []).append(right)
    dice, found = random.Random(seed), []
    for _ in range(draws):
        images = sum(dice.choices(list(rows.values()), k=len(rows)), [])
        found.append(sum(images) / len(images))
    return list(np.quantile(np.array(found), [0.025, 0.975]))
""",
    },
    "step by step": {
        "task": "fall_apart",
        "code": """
def fall_apart(before, after):
    def accuracy(mix, recalls):
        return (1 - mix) * recalls[0] + mix * recalls[1]
    old, new = [np.diag(m) / m.sum(1) for m in (before, after)]
    s, s2 = [m[1].sum() / m.sum() for m in (before, after)]
    steps = [accuracy(s, old), accuracy(s2, old), accuracy(s2, [new[0], old[1]]), accuracy(s2, new)]
    return np.diff(steps)
""",
    },
}

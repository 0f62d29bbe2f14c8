"""Answers that the checks of exercise 09 must judge rightly."""

WRONG = {
    "accuracy as macro F1": {
        "task": "f1_scores",
        "check": "mean_of_the_classes",
        "says": "accuracy (micro",
        "code": """
def f1_scores(matrix):
    hits = np.diag(matrix)
    f1 = 2 * hits / np.maximum(matrix.sum(axis=0) + matrix.sum(axis=1), 1)
    return f1, hits.sum() / matrix.sum()
""",
    },
    "averages precision and recall first": {
        "task": "f1_scores",
        "check": "mean_of_the_classes",
        "says": "averaged first",
        "code": """
def f1_scores(matrix):
    hits = np.diag(matrix)
    recall = hits / np.maximum(matrix.sum(axis=1), 1)
    precision = hits / np.maximum(matrix.sum(axis=0), 1)
    f1 = 2 * hits / np.maximum(matrix.sum(axis=0) + matrix.sum(axis=1), 1)
    p, r = precision.mean(), recall.mean()
    return f1, 2 * p * r / (p + r)
""",
    },
    "weights the classes by size": {
        "task": "f1_scores",
        "check": "mean_of_the_classes",
        "says": "weighted by their number",
        "code": """
def f1_scores(matrix):
    f1 = 2 * np.diag(matrix) / np.maximum(matrix.sum(axis=0) + matrix.sum(axis=1), 1)
    return f1, np.average(f1, weights=matrix.sum(axis=1))
""",
    },
    "arithmetic mean as F1": {
        "task": "f1_scores",
        "check": "every_class_by_itself",
        "says": "plain mean",
        "code": """
def f1_scores(matrix):
    hits = np.diag(matrix)
    f1 = (hits / np.maximum(matrix.sum(axis=1), 1) + hits / np.maximum(matrix.sum(axis=0), 1)) / 2
    return f1, f1.mean()
""",
    },
    "recall as F1": {
        "task": "f1_scores",
        "check": "every_class_by_itself",
        "says": "this is the recall",
        "code": """
def f1_scores(matrix):
    recall = np.diag(matrix) / np.maximum(matrix.sum(axis=1), 1)
    return recall, recall.mean()
""",
    },
    "divides 0 by 0": {
        "task": "f1_scores",
        "check": "rare_class_ignored",
        "says": "never said is nan",
        "code": """
def f1_scores(matrix):
    hits = np.diag(matrix)
    with np.errstate(all="ignore"):
        precision, recall = hits / matrix.sum(axis=0), hits / matrix.sum(axis=1)
        f1 = 2 * precision * recall / (precision + recall)
    return f1, f1.mean()
""",
    },
    "leaves absent classes out of the mean": {
        "task": "f1_scores",
        "check": "class_without_images",
        "says": "left out of the mean",
        "code": """
def f1_scores(matrix):
    below = matrix.sum(axis=0) + matrix.sum(axis=1)
    f1 = 2 * np.diag(matrix) / np.maximum(below, 1)
    return f1, f1[below > 0].mean()
""",
    },
    "largest count": {
        "task": "most_confused",
        "check": "largest_fraction_of_a_row",
        "says": "largest count",
        "code": """
def most_confused(matrix):
    wrong = matrix - np.diag(np.diag(matrix))
    i, j = np.unravel_index(wrong.argmax(), wrong.shape)
    return i, j, wrong[i, j] / matrix[i].sum()
""",
    },
    "pair the wrong way round": {
        "task": "most_confused",
        "check": "largest_fraction_of_a_row",
        "says": "wrong way round",
        "code": """
def most_confused(matrix):
    fractions = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(fractions, -1)
    i, j = np.unravel_index(fractions.argmax(), fractions.shape)
    return j, i, fractions[i, j]
""",
    },
    "fraction of the column": {
        "task": "most_confused",
        "check": "largest_fraction_of_a_row",
        "says": "fraction of a column",
        "code": """
def most_confused(matrix):
    fractions = matrix / np.maximum(matrix.sum(axis=0), 1)
    np.fill_diagonal(fractions, -1)
    i, j = np.unravel_index(fractions.argmax(), fractions.shape)
    return i, j, fractions[i, j]
""",
    },
    "forgets the diagonal": {
        "task": "most_confused",
        "check": "largest_fraction_of_a_row",
        "says": "on the diagonal",
        "code": """
def most_confused(matrix):
    fractions = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    i, j = np.unravel_index(fractions.argmax(), fractions.shape)
    return i, j, fractions[i, j]
""",
    },
    "adds both directions": {
        "task": "most_confused",
        "check": "direction_counts",
        "says": "both directions",
        "code": """
def most_confused(matrix):
    fractions = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    both = np.triu(fractions + fractions.T, 1)
    i, j = np.unravel_index(both.argmax(), both.shape)
    return i, j, fractions[i, j]
""",
    },
    "last of equal fractions": {
        "task": "most_confused",
        "check": "equal_fractions",
        "says": "the last one",
        "code": """
def most_confused(matrix):
    best = (0, 1, 0.0)
    for i, row in enumerate(matrix):
        for j, count in enumerate(row):
            if i != j and count / max(row.sum(), 1) >= best[2]:
                best = (i, j, count / max(row.sum(), 1))
    return best
""",
    },
    "an empty class wins": {
        "task": "most_confused",
        "check": "equal_fractions",
        "says": "class without images",
        "code": """
def most_confused(matrix):
    with np.errstate(all="ignore"):
        fractions = matrix / matrix.sum(axis=1, keepdims=True)
    np.fill_diagonal(fractions, -1)
    i, j = np.unravel_index(fractions.argmax(), fractions.shape)
    return i, j, fractions[i, j]
""",
    },
    "largest probability of the group": {
        "task": "merge_classes",
        "check": "ill_or_not",
        "says": "largest probability",
        "code": """
def merge_classes(probs, new):
    return np.stack([probs[:, new == g].max(axis=1) for g in range(new.max() + 1)], axis=1)
""",
    },
    "largest probability, scaled": {
        "task": "merge_classes",
        "check": "ill_or_not",
        "says": "scaled to 1",
        "code": """
def merge_classes(probs, new):
    merged = np.stack([probs[:, new == g].max(axis=1) for g in range(new.max() + 1)], axis=1)
    return merged / merged.sum(axis=1, keepdims=True)
""",
    },
    "adds only the last column": {
        "task": "merge_classes",
        "check": "ill_or_not",
        "says": "only the last class",
        "code": """
def merge_classes(probs, new):
    merged = np.zeros((len(probs), new.max() + 1))
    merged[:, new] += probs
    return merged
""",
    },
    "merges the answers": {
        "task": "merge_classes",
        "check": "ill_or_not",
        "says": "answers were merged",
        "code": """
def merge_classes(probs, new):
    return np.eye(new.max() + 1)[new[probs.argmax(axis=1)]]
""",
    },
    "groups in order of appearance": {
        "task": "merge_classes",
        "check": "any_grouping",
        "says": "another order",
        "code": """
def merge_classes(probs, new):
    return np.stack([probs[:, new == g].sum(axis=1) for g in dict.fromkeys(new.tolist())], axis=1)
""",
    },
    "neighboring columns": {
        "task": "merge_classes",
        "check": "any_grouping",
        "says": "neighboring columns",
        "code": """
def merge_classes(probs, new):
    starts = np.concatenate([[0], np.cumsum(np.bincount(new))[:-1]])
    return np.add.reduceat(probs, starts, axis=1)
""",
    },
    "measured on the training images": {
        "task": "source_only",
        "check": "known_without_a_pixel",
        "says": "on the training images",
        "code": """
def source_only(train_sources, train_labels, test_sources, test_labels):
    right = sum(np.bincount(train_labels[train_sources == s]).max() for s in np.unique(train_sources))
    return right / len(train_labels), np.mean(test_labels == np.bincount(train_labels).argmax())
""",
    },
    "majority of the test images": {
        "task": "source_only",
        "check": "known_without_a_pixel",
        "says": "learning from the test",
        "code": """
def source_only(train_sources, train_labels, test_sources, test_labels):
    right = sum(np.bincount(test_labels[test_sources == s]).max() for s in np.unique(test_sources))
    return right / len(test_labels), np.mean(test_labels == np.bincount(train_labels).argmax())
""",
    },
    "baseline from the test images": {
        "task": "source_only",
        "check": "compared_with_one_answer",
        "says": "taken from the test images",
        "code": """
def source_only(train_sources, train_labels, test_sources, test_labels):
    common = np.bincount(train_labels).argmax()
    noted = {s: np.bincount(train_labels[train_sources == s]).argmax() for s in set(train_sources)}
    answers = np.array([noted.get(s, common) for s in test_sources])
    return np.mean(answers == test_labels), np.bincount(test_labels).max() / len(test_labels)
""",
    },
    "one divided by the classes": {
        "task": "source_only",
        "check": "compared_with_one_answer",
        "says": "number of classes",
        "code": """
def source_only(train_sources, train_labels, test_sources, test_labels):
    common = np.bincount(train_labels).argmax()
    noted = {s: np.bincount(train_labels[train_sources == s]).argmax() for s in set(train_sources)}
    answers = np.array([noted.get(s, common) for s in test_sources])
    return np.mean(answers == test_labels), 1 / len(set(train_labels))
""",
    },
    "unknown source counts as wrong": {
        "task": "source_only",
        "check": "unknown_source",
        "says": "counted as wrong",
        "code": """
def source_only(train_sources, train_labels, test_sources, test_labels):
    right = 0
    for s in np.unique(train_sources):
        answer = np.bincount(train_labels[train_sources == s]).argmax()
        right += np.sum(test_labels[test_sources == s] == answer)
    return right / len(test_labels), np.mean(test_labels == np.bincount(train_labels).argmax())
""",
    },
    "unknown source left out": {
        "task": "source_only",
        "check": "unknown_source",
        "says": "were left out",
        "code": """
def source_only(train_sources, train_labels, test_sources, test_labels):
    known = np.isin(test_sources, train_sources)
    noted = {s: np.bincount(train_labels[train_sources == s]).argmax() for s in set(train_sources)}
    answers = np.array([noted[s] for s in test_sources[known]])
    common = np.bincount(train_labels).argmax()
    return np.mean(answers == test_labels[known]), np.mean(test_labels == common)
""",
    },
    "largest class of a tie": {
        "task": "source_only",
        "check": "smallest_of_a_tie",
        "says": "smallest number",
        "code": """
def source_only(train_sources, train_labels, test_sources, test_labels):
    def most(labels):
        return max(labels.tolist(), key=lambda c: (labels.tolist().count(c), c))

    common = most(train_labels)
    noted = {s: most(train_labels[train_sources == s]) for s in set(train_sources)}
    answers = np.array([noted.get(s, common) for s in test_sources])
    return np.mean(answers == test_labels), np.mean(test_labels == common)
""",
    },
    "parts swapped": {
        "task": "leave_one_source_out",
        "check": "whole_sources",
        "says": "swapped",
        "code": """
def leave_one_source_out(sources, labels):
    splits = []
    for s in np.unique(sources):
        train, test = np.flatnonzero(sources == s), np.flatnonzero(sources != s)
        if set(labels[train]) <= set(labels[test]):
            splits.append((train, test))
    return splits
""",
    },
    "order of appearance": {
        "task": "leave_one_source_out",
        "check": "whole_sources",
        "says": "alphabetical",
        "code": """
def leave_one_source_out(sources, labels):
    splits = []
    for s in dict.fromkeys(sources.tolist()):
        train, test = np.flatnonzero(sources != s), np.flatnonzero(sources == s)
        if set(labels[test]) <= set(labels[train]):
            splits.append((train, test))
    return splits
""",
    },
    "masks instead of positions": {
        "task": "leave_one_source_out",
        "check": "whole_sources",
        "says": "asked are positions",
        "code": """
def leave_one_source_out(sources, labels):
    return [(sources != s, sources == s) for s in np.unique(sources)
            if set(labels[sources == s]) <= set(labels[sources != s])]
""",
    },
    "keeps every split": {
        "task": "leave_one_source_out",
        "check": "class_from_one_source",
        "says": "a split was kept",
        "code": """
def leave_one_source_out(sources, labels):
    return [(np.flatnonzero(sources != s), np.flatnonzero(sources == s)) for s in np.unique(sources)]
""",
    },
    "the same classes on both sides": {
        "task": "leave_one_source_out",
        "check": "class_from_one_source",
        "says": "lack a class",
        "code": """
def leave_one_source_out(sources, labels):
    return [(np.flatnonzero(sources != s), np.flatnonzero(sources == s)) for s in np.unique(sources)
            if set(labels[sources == s]) == set(labels[sources != s])]
""",
    },
    "drops images, not splits": {
        "task": "leave_one_source_out",
        "check": "class_from_one_source",
        "says": "single images",
        "code": """
def leave_one_source_out(sources, labels):
    splits = []
    for s in np.unique(sources):
        train = np.flatnonzero(sources != s)
        test = np.flatnonzero((sources == s) & np.isin(labels, labels[train]))
        splits.append((train, test))
    return splits
""",
    },
}

CORRECT = {
    "F1 with a loop, as a list": {
        "task": "f1_scores",
        "code": """
def f1_scores(matrix):
    f1 = []
    for c in range(len(matrix)):
        tp = int(matrix[c][c])
        fn, fp = int(sum(matrix[c])) - tp, int(sum(row[c] for row in matrix)) - tp
        f1.append(0.0 if tp == 0 else 2 * tp / (2 * tp + fp + fn))
    return f1, sum(f1) / len(f1)
""",
    },
    "F1 in float32": {
        "task": "f1_scores",
        "code": """
def f1_scores(matrix):
    m = np.asarray(matrix, dtype=np.float32)
    with np.errstate(all="ignore"):
        p, r = np.diag(m) / m.sum(0), np.diag(m) / m.sum(1)
        f1 = np.nan_to_num(2 * p * r / (p + r))
    return [f1, np.mean(f1)]
""",
    },
    "pair with sorting": {
        "task": "most_confused",
        "code": """
def fraction_of(matrix, i, j):
    return float(matrix[i, j] / matrix[i].sum()) if matrix[i].sum() else 0.0


def most_confused(matrix):
    k = len(matrix)
    pairs = [(i, j) for i in range(k) for j in range(k) if i != j]
    i, j = sorted(pairs, key=lambda p: (-fraction_of(matrix, *p), p))[0]
    return np.array([i, j, fraction_of(matrix, i, j)])
""",
    },
    "merging with a matrix product": {
        "task": "merge_classes",
        "code": """
def merge_classes(probs, new):
    return (probs.astype(np.float32) @ np.eye(max(new) + 1, dtype=np.float32)[new]).tolist()
""",
    },
    "merging with add.at": {
        "task": "merge_classes",
        "code": """
def merge_classes(probs, new):
    merged = np.zeros((max(new) + 1, len(probs)))
    np.add.at(merged, new, probs.T)
    return merged.T
""",
    },
    "source with a counter": {
        "task": "source_only",
        "code": """
from collections import Counter, defaultdict


def source_only(train_sources, train_labels, test_sources, test_labels):
    def most(counter):
        return min(counter, key=lambda c: (-counter[c], c))

    table = defaultdict(Counter)
    for s, y in zip(train_sources, train_labels):
        table[str(s)][int(y)] += 1
    common = most(sum(table.values(), Counter()))
    answers = [most(table[str(s)]) if str(s) in table else common for s in test_sources]
    hits = [a == y for a, y in zip(answers, test_labels)]
    return [sum(hits) / len(hits), list(test_labels).count(common) / len(hits)]
""",
    },
    "splits as plain lists": {
        "task": "leave_one_source_out",
        "code": """
def leave_one_source_out(sources, labels):
    found = []
    for s in sorted(set(sources.tolist())):
        test = [i for i, name in enumerate(sources) if name == s]
        train = [i for i in range(len(sources)) if i not in test]
        if not {labels[i] for i in test} - {labels[i] for i in train}:
            found.append([train, test])
    return tuple(found)
""",
    },
}

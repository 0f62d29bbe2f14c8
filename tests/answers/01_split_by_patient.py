"""Answers that the checks of exercise 01 must judge rightly."""

WRONG = {
    "the test's most common class": {
        "task": "lazy_accuracy",
        "check": "commonest_class_of_training",
        "says": "of the test images",
        "code": """
def lazy_accuracy(train_labels, test_labels):
    commonest = np.bincount(test_labels).argmax()
    return np.mean(test_labels == commonest)
""",
    },
    "measured on the training images": {
        "task": "lazy_accuracy",
        "check": "commonest_class_of_training",
        "says": "measured on the training",
        "code": """
def lazy_accuracy(train_labels, test_labels):
    return np.bincount(train_labels).max() / len(train_labels)
""",
    },
    "the first class met wins a tie": {
        "task": "lazy_accuracy",
        "check": "class_missing_in_the_test",
        "says": "equally common",
        "code": """
def lazy_accuracy(train_labels, test_labels):
    from collections import Counter
    return np.mean(test_labels == Counter(train_labels.tolist()).most_common(1)[0][0])
""",
    },
    "counts images instead of patients": {
        "task": "leaked_patients",
        "check": "counts_patients_and_test_images",
        "says": "counts test images",
        "code": """
def leaked_patients(train_patients, test_patients):
    leaked = np.isin(test_patients, train_patients)
    return leaked.sum(), leaked.mean()
""",
    },
    "a fraction of the patients": {
        "task": "leaked_patients",
        "check": "counts_patients_and_test_images",
        "says": "not of its images",
        "code": """
def leaked_patients(train_patients, test_patients):
    leaked = set(train_patients) & set(test_patients)
    return len(leaked), len(leaked) / len(set(test_patients))
""",
    },
    "a fraction of the training images": {
        "task": "leaked_patients",
        "check": "counts_patients_and_test_images",
        "says": "fraction of the training images",
        "code": """
def leaked_patients(train_patients, test_patients):
    leaked = np.intersect1d(train_patients, test_patients)
    return len(leaked), np.isin(train_patients, leaked).mean()
""",
    },
    "splits by image": {
        "task": "split_by_patient",
        "check": "patients_stay_whole",
        "says": "by image",
        "code": """
def split_by_patient(patients, fraction, seed):
    order = np.random.default_rng(seed).permutation(len(patients))
    cut = round(fraction * len(patients))
    return order[cut:], order[:cut]
""",
    },
    "the parts are swapped": {
        "task": "split_by_patient",
        "check": "fraction_of_the_patients",
        "says": "swapped",
        "code": """
def split_by_patient(patients, fraction, seed):
    names = np.random.default_rng(seed).permutation(np.unique(patients))
    count = min(max(round(fraction * len(names)), 1), len(names) - 1)
    in_val = np.isin(patients, names[:count])
    return np.flatnonzero(in_val), np.flatnonzero(~in_val)
""",
    },
    "does not shuffle": {
        "task": "split_by_patient",
        "check": "fraction_of_the_patients",
        "says": "not shuffled",
        "code": """
def split_by_patient(patients, fraction, seed):
    names = np.unique(patients)
    count = min(max(round(fraction * len(names)), 1), len(names) - 1)
    in_val = np.isin(patients, names[:count])
    return np.flatnonzero(~in_val), np.flatnonzero(in_val)
""",
    },
    "shuffles without the seed": {
        "task": "split_by_patient",
        "check": "seed_decides",
        "says": "same seed",
        "code": """
def split_by_patient(patients, fraction, seed):
    names = np.random.default_rng().permutation(np.unique(patients))
    count = min(max(round(fraction * len(names)), 1), len(names) - 1)
    in_val = np.isin(patients, names[:count])
    return np.flatnonzero(~in_val), np.flatnonzero(in_val)
""",
    },
    "a fixed seed": {
        "task": "split_by_patient",
        "check": "seed_decides",
        "says": "no effect",
        "code": """
def split_by_patient(patients, fraction, seed):
    names = np.random.default_rng(0).permutation(np.unique(patients))
    count = min(max(round(fraction * len(names)), 1), len(names) - 1)
    in_val = np.isin(patients, names[:count])
    return np.flatnonzero(~in_val), np.flatnonzero(in_val)
""",
    },
    "leaves a part empty": {
        "task": "split_by_patient",
        "check": "one_image_each_and_a_giant",
        "says": "a part is empty",
        "code": """
def split_by_patient(patients, fraction, seed):
    names = np.random.default_rng(seed).permutation(np.unique(patients))
    in_val = np.isin(patients, names[:round(fraction * len(names))])
    return np.flatnonzero(~in_val), np.flatnonzero(in_val)
""",
    },
    "fills up by images": {
        "task": "split_by_patient",
        "check": "one_image_each_and_a_giant",
        "says": "count patients",
        "code": """
def split_by_patient(patients, fraction, seed):
    names = np.random.default_rng(seed).permutation(np.unique(patients))
    in_val = np.zeros(len(patients), dtype=bool)
    for name in names[:-1]:
        if in_val.sum() < fraction * len(patients):
            in_val |= patients == name
    return np.flatnonzero(~in_val), np.flatnonzero(in_val)
""",
    },
    "returns masks": {
        "task": "split_by_patient",
        "check": "patients_stay_whole",
        "says": "mask",
        "code": """
def split_by_patient(patients, fraction, seed):
    names = np.random.default_rng(seed).permutation(np.unique(patients))
    in_val = np.isin(patients, names[:round(fraction * len(names))])
    return ~in_val, in_val
""",
    },
    "compares means": {
        "task": "find_copies",
        "check": "only_exact_copies",
        "says": "order",
        "code": """
def find_copies(train_images, test_images):
    seen = {image.mean() for image in train_images}
    return np.array([i for i, image in enumerate(test_images) if image.mean() in seen], dtype=int)
""",
    },
    "compares the printed arrays": {
        "task": "find_copies",
        "check": "only_exact_copies",
        "says": "middle",
        "code": """
def find_copies(train_images, test_images):
    seen = {str(image) for image in train_images}
    return np.array([i for i, image in enumerate(test_images) if str(image) in seen], dtype=int)
""",
    },
    "rows of the training images": {
        "task": "find_copies",
        "check": "finds_every_copy",
        "says": "of the training images",
        "code": """
def find_copies(train_images, test_images):
    seen = {image.tobytes() for image in test_images}
    return np.array([i for i, image in enumerate(train_images) if image.tobytes() in seen], dtype=int)
""",
    },
    "one copy of each": {
        "task": "find_copies",
        "check": "finds_every_copy",
        "says": "twice among the test images",
        "code": """
def find_copies(train_images, test_images):
    row = {image.tobytes(): i for i, image in enumerate(test_images)}
    return np.array(sorted(row[t.tobytes()] for t in train_images if t.tobytes() in row), dtype=int)
""",
    },
    "copies inside the test": {
        "task": "find_copies",
        "check": "nothing_to_find",
        "says": "copies of each other",
        "code": """
def find_copies(train_images, test_images):
    every = [image.tobytes() for image in [*train_images, *test_images]]
    return np.array([i for i, t in enumerate(test_images) if every.count(t.tobytes()) > 1], dtype=int)
""",
    },
    "five is near-black": {
        "task": "near_black_share",
        "check": "pixels_below_five",
        "says": "the value 5 was counted",
        "code": """
def near_black_share(images, labels, classes):
    return np.array([(images[labels == k] <= 5).mean() for k in range(classes)])
""",
    },
    "pixels for each image": {
        "task": "near_black_share",
        "check": "pixels_below_five",
        "says": "divide by the pixels",
        "code": """
def near_black_share(images, labels, classes):
    return np.array([(images[labels == k] < 5).sum() / (labels == k).sum() for k in range(classes)])
""",
    },
    "zero for a class without images": {
        "task": "near_black_share",
        "check": "class_without_images",
        "says": "nan",
        "code": """
def near_black_share(images, labels, classes):
    pixels = images[0].size * np.bincount(labels, minlength=classes)
    black = np.bincount(labels, (images < 5).sum((1, 2)), classes)
    return black / np.maximum(pixels, 1)
""",
    },
    "cuts off in place of rounding": {
        "task": "split_by_patient",
        "check": "fraction_of_the_patients",
        "says": "only cuts off the decimals",
        "code": """
def split_by_patient(patients, fraction, seed):
    names = np.unique(patients)
    k = min(max(int(fraction*len(names)),1),len(names)-1)
    m = np.isin(patients, np.random.default_rng(seed).permutation(names)[:k])
    return np.flatnonzero(~m), np.flatnonzero(m)
""",
    },
    "keys in place of row numbers": {
        "task": "split_by_patient",
        "check": "patients_stay_whole",
        "says": "holds keys of patients",
        "code": """
def split_by_patient(patients, fraction, seed):
    names = np.random.default_rng(seed).permutation(np.unique(patients))
    k = min(max(round(fraction*len(names)),1),len(names)-1)
    m = np.isin(patients, names[:k])
    return patients[~m], patients[m]
""",
    },
    "the fraction comes first": {
        "task": "leaked_patients",
        "check": "counts_patients_and_test_images",
        "says": "the number of patients comes first",
        "code": """
def leaked_patients(a, b):
    l = np.intersect1d(a, b)
    return np.isin(b, l).mean(), len(l)
""",
    },
    "looks for single pixels": {
        "task": "find_copies",
        "check": "only_exact_copies",
        "says": "compare whole images",
        "code": """
def find_copies(a, b):
    return np.flatnonzero(np.isin(b, a).all((1,2)))
""",
    },
    "None for a class without images": {
        "task": "near_black_share",
        "check": "class_without_images",
        "says": "give np.nan",
        "code": """
def near_black_share(images, labels, classes):
    return [(images[labels==k] < 5).mean() if (labels==k).any() else None for k in range(classes)]
""",
    },
}

CORRECT = {
    "plain Python": {
        "task": "lazy_accuracy",
        "code": """
def lazy_accuracy(train_labels, test_labels):
    train, test = list(train_labels), list(test_labels)
    best = max(sorted(set(train)), key=train.count)
    return test.count(best) / len(test)
""",
    },
    "with sets": {
        "task": "leaked_patients",
        "code": """
def leaked_patients(train_patients, test_patients):
    leaked = set(train_patients.tolist()) & set(test_patients.tolist())
    hit = [patient in leaked for patient in test_patients.tolist()]
    return [len(leaked), sum(hit) / len(hit)]
""",
    },
    "with a set of patients": {
        "task": "split_by_patient",
        "code": '''
import random

def split_by_patient(patients, fraction, seed):
    """Rows come back as lists, and in a mixed order."""
    names = sorted(set(patients.tolist()))
    random.Random(seed).shuffle(names)
    count = int(fraction * len(names) + 0.5)
    count = max(1, min(count, len(names) - 1))
    chosen = set(names[-count:])
    order = list(range(len(patients)))
    random.Random(seed).shuffle(order)
    train = [i for i in order if patients[i] not in chosen]
    val = [i for i in order if patients[i] in chosen]
    return train, val
''',
    },
    "scikit-learn's splitter": {
        "task": "split_by_patient",
        "code": """
def split_by_patient(patients, fraction, seed):
    from sklearn.model_selection import GroupShuffleSplit
    total = len(np.unique(patients))
    count = min(max(round(fraction * total), 1), total - 1)
    cut = GroupShuffleSplit(1, test_size=count, random_state=seed)
    return next(cut.split(patients, groups=patients))
""",
    },
    "all against all": {
        "task": "find_copies",
        "code": """
def find_copies(train_images, test_images):
    equal = (test_images[:, None] == train_images[None]).all(axis=(2, 3))
    return list(np.where(equal.any(axis=1))[0])
""",
    },
    "float32 and mean of means": {
        "task": "near_black_share",
        "code": """
def near_black_share(images, labels, classes):
    dark = (images.astype("float32") < 5).mean(axis=(1, 2))
    return [dark[labels == k].mean() if k in labels else float("nan") for k in range(classes)]
""",
    },
    "the difference of bytes": {
        "task": "find_copies",
        "code": """
def find_copies(a, b):
    return [i for i in range(len(b)) if any((b[i]-t).sum()==0 for t in a)]
""",
    },
}

"""Which class of a run the classes of another data set count as."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from .data import CxrDataset
from .metrics import Report
from .validate import one_of, short

#: See `score_mapped`.
ClassMap = Mapping[str, str | None] | str | None


def score_mapped(
    data: CxrDataset, classes: Sequence[str], mapping: ClassMap, score: Callable[[CxrDataset], Report],
    multilabel: bool = False,
) -> Report:  # fmt: skip
    """Score images whose classes have other names than those of the network.

    Parameters
    ----------
    data, classes : CxrDataset, sequence of str
        Images with their own classes; those of the network.
    mapping : dict, str, optional
        A dict: class of the data -> class of the network, or None to leave its images out. A text: one class, against
        anything else. What is not named keeps its name. If the network has two classes, one of them "normal", and some
        images count as normal, every class that it does not know counts as the other one.
    score : callable
        Gives the report of images with the network's classes.
    multilabel : bool
        A multi-label network, whose findings class names hold ("a+b"): nothing is mapped.

    Raises
    ------
    ValueError
        An unknown name in ``mapping``, or a class that counts as none of the network's; the message has the remedy.
    """
    if multilabel:
        if mapping:
            what = f"class names hold the findings, such as {' + '.join(classes)}: rename the classes of the images"
            raise ValueError(f"mapping: not for a multi-label network; {what}")
        return score(data)
    if not isinstance(mapping, Mapping | str | None):
        raise ValueError(
            f"mapping: give a dict, such as {{'tuberculosis': 'pneumonia'}}, or a class, got {short(mapping)}"
        )
    present = [name for k, name in enumerate(data.classes) if (data.labels == k).any()]
    one = one_of("mapping", mapping, classes) if isinstance(mapping, str) else None
    given = {one: one} if one else dict(mapping or {})
    for theirs, ours in given.items():
        one_of("mapping (classes of the images)", theirs, data.classes)
        if ours is not None:
            one_of(f"mapping of {theirs}", ours, classes)
    counts_as = {name: given.get(name, name) for name in present}
    if one or (len(classes) == 2 and "normal" in classes and "normal" in counts_as.values()):
        rest = next(name for name in classes if name != (one or "normal"))
        counts_as = {theirs: ours if ours in (None, *classes) else rest for theirs, ours in counts_as.items()}
    if unknown := [theirs for theirs, ours in counts_as.items() if ours not in (None, *classes)]:
        name, other = unknown[0], classes[-1]
        raise ValueError(
            f"there are images of {', '.join(unknown)}, which is none of {list(classes)}: say what they count as, "
            f"mapping={{{name!r}: {other!r}}} (--map {name}={other}); None (--map {name}=) leaves them out; "
            f"mapping={classes[0]!r} (--map {classes[0]}) asks for {classes[0]} against anything else"
        )
    names = np.array(data.classes, dtype=object)[data.labels]
    changed = {theirs: ours for theirs, ours in counts_as.items() if ours != theirs}
    if changed:
        warnings.warn("; ".join(_said(names, *pair) for pair in changed.items()), stacklevel=3)
    kept = data[np.array([counts_as[name] is not None for name in names], bool)]
    report = score(kept.with_classes(classes, changed))
    if one is None or len(classes) == 2:
        return report
    k = list(classes).index(one)
    probs = np.c_[report.probs[:, k], 1 - report.probs[:, k]]
    return replace(report, labels=(report.labels != k).astype(int), probs=probs, classes=(one, "anything else"))


def _said(names: np.ndarray, theirs: str, ours: str | None) -> str:
    return f"{(names == theirs).sum():,} images of {theirs} {f'count as {ours}' if ours else 'are left out'}"

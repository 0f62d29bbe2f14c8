"""Answers that the checks of exercise 06 must judge rightly."""

WRONG = {
    "not divided by the number of classes": {
        "task": "balanced_weights",
        "check": "rare_classes_weigh_more",
        "says": "not divided by the number of classes",
        "code": """
def balanced_weights(labels, classes):
    counts = np.bincount(labels, minlength=classes)
    return np.where(counts > 0, len(labels) / np.maximum(counts, 1), 0)
""",
    },
    "weights that sum to 1": {
        "task": "balanced_weights",
        "check": "rare_classes_weigh_more",
        "says": "sum to 1",
        "code": """
def balanced_weights(labels, classes):
    counts = np.bincount(labels, minlength=classes)
    weights = np.where(counts > 0, 1 / np.maximum(counts, 1), 0)
    return weights / weights.sum()
""",
    },
    "the fractions of the classes": {
        "task": "balanced_weights",
        "check": "rare_classes_weigh_more",
        "says": "a rare class should weigh more",
        "code": """
def balanced_weights(labels, classes):
    return np.bincount(labels, minlength=classes) / len(labels)
""",
    },
    "infinite weight of an empty class": {
        "task": "balanced_weights",
        "check": "class_without_images",
        "says": "infinite",
        "code": """
def balanced_weights(labels, classes):
    return len(labels) / (classes * np.bincount(labels, minlength=classes))
""",
    },
    "only the classes that occur": {
        "task": "balanced_weights",
        "check": "class_without_images",
        "says": "shape",
        "code": """
def balanced_weights(labels, classes):
    _, counts = np.unique(labels, return_counts=True)
    return len(labels) / (len(counts) * counts)
""",
    },
    "softmax twice": {
        "task": "weighted_cross_entropy",
        "check": "weighted_mean",
        "says": "softmax was applied twice",
        "code": """
def weighted_cross_entropy(logits, labels, weights):
    p = logits
    for _ in range(2):
        p = np.exp(p - p.max(1, keepdims=True))
        p = p / p.sum(1, keepdims=True)
    w = weights[labels]
    return -(w * np.log(p[np.arange(len(labels)), labels])).sum() / w.sum()
""",
    },
    "divided by the number of images": {
        "task": "weighted_cross_entropy",
        "check": "weighted_mean",
        "says": "divided by the number of images",
        "code": """
def weighted_cross_entropy(logits, labels, weights):
    z = logits - logits.max(1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    return -np.mean(weights[labels] * log_p[np.arange(len(labels)), labels])
""",
    },
    "grows with the weights": {
        "task": "weighted_cross_entropy",
        "check": "equal_weights",
        "says": "size of the weights",
        "code": """
def weighted_cross_entropy(logits, labels, weights):
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return -np.mean(weights[labels] * np.log(p[np.arange(len(labels)), labels]))
""",
    },
    "overflow": {
        "task": "weighted_cross_entropy",
        "check": "large_logits",
        "says": "subtract the largest logit",
        "code": """
def weighted_cross_entropy(logits, labels, weights):
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    w = weights[labels]
    return -(w * np.log(p[np.arange(len(labels)), labels])).sum() / w.sum()
""",
    },
    "a cut probability": {
        "task": "weighted_cross_entropy",
        "check": "large_logits",
        "says": "the probability is cut",
        "code": """
def weighted_cross_entropy(logits, labels, weights):
    z = np.exp(logits - logits.max(1, keepdims=True))
    p = np.clip(z / z.sum(1, keepdims=True), 1e-12, 1)
    w = weights[labels]
    return -(w * np.log(p[np.arange(len(labels)), labels])).sum() / w.sum()
""",
    },
    "spread over the other classes": {
        "task": "smoothed_loss",
        "check": "smoothed_targets",
        "says": "only over the three other classes",
        "code": """
def smoothed_loss(logits, labels, eps):
    n, k = logits.shape
    targets = np.full((n, k), eps / (k - 1))
    targets[np.arange(n), labels] = 1 - eps
    z = logits - logits.max(1, keepdims=True)
    return targets, -(targets * (z - np.log(np.exp(z).sum(1, keepdims=True)))).sum(1).mean()
""",
    },
    "the true class gets nothing back": {
        "task": "smoothed_loss",
        "check": "smoothed_targets",
        "says": "it gets eps / K, too",
        "code": """
def smoothed_loss(logits, labels, eps):
    n, k = logits.shape
    targets = np.full((n, k), eps / k)
    targets[np.arange(n), labels] = 1 - eps
    z = logits - logits.max(1, keepdims=True)
    return targets, -(targets * (z - np.log(np.exp(z).sum(1, keepdims=True)))).sum(1).mean()
""",
    },
    "the smoothed targets are not used": {
        "task": "smoothed_loss",
        "check": "smoothed_cross_entropy",
        "says": "use the targets",
        "code": """
def smoothed_loss(logits, labels, eps):
    n, k = logits.shape
    targets = (1 - eps) * np.eye(k)[labels] + eps / k
    z = logits - logits.max(1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    return targets, -log_p[np.arange(n), labels].mean()
""",
    },
    "softmax twice, smoothed": {
        "task": "smoothed_loss",
        "check": "smoothed_cross_entropy",
        "says": "softmax was applied twice",
        "code": """
def smoothed_loss(logits, labels, eps):
    import torch

    k = logits.shape[1]
    targets = (1 - eps) * np.eye(k)[labels] + eps / k
    p = torch.softmax(torch.from_numpy(logits), 1)
    loss = torch.nn.functional.cross_entropy(p, torch.from_numpy(labels), label_smoothing=eps)
    return targets, loss.item()
""",
    },
    "mean over images and classes": {
        "task": "smoothed_loss",
        "check": "smoothed_cross_entropy",
        "says": "sum over the classes",
        "code": """
def smoothed_loss(logits, labels, eps):
    k = logits.shape[1]
    targets = (1 - eps) * np.eye(k)[labels] + eps / k
    z = logits - logits.max(1, keepdims=True)
    return targets, np.mean(-targets * (z - np.log(np.exp(z).sum(1, keepdims=True))))
""",
    },
    "before minus after": {
        "task": "difference_seen",
        "check": "change_with_its_sign",
        "says": "the sign is turned",
        "code": """
def difference_seen(before, after):
    steps = before - after
    agree = (steps > 0).all() or (steps < 0).all()
    return steps.mean(), bool(agree and abs(steps.mean()) > max(np.ptp(before), np.ptp(after)))
""",
    },
    "only rises are differences": {
        "task": "difference_seen",
        "check": "seen_or_not",
        "says": "a fall with every seed",
        "code": """
def difference_seen(before, after):
    steps = after - before
    return steps.mean(), bool((steps > 0).all() and steps.mean() > max(np.ptp(before), np.ptp(after)))
""",
    },
    "seeds need not agree": {
        "task": "difference_seen",
        "check": "seen_or_not",
        "says": "do not agree about the sign",
        "code": """
def difference_seen(before, after):
    change = (after - before).mean()
    return change, bool(abs(change) > max(np.ptp(before), np.ptp(after)))
""",
    },
    "any rise is a difference": {
        "task": "difference_seen",
        "check": "seen_or_not",
        "says": "not larger than the spread",
        "code": """
def difference_seen(before, after):
    steps = after - before
    return steps.mean(), bool((steps > 0).all() or (steps < 0).all())
""",
    },
    "the spread of the first": {
        "task": "difference_seen",
        "check": "seen_or_not",
        "says": "of the second one, too",
        "code": """
def difference_seen(before, after):
    steps = after - before
    agree = (steps > 0).all() or (steps < 0).all()
    return steps.mean(), bool(agree and abs(steps.mean()) > np.ptp(before))
""",
    },
    "compared with the epoch before": {
        "task": "plateau_rates",
        "check": "rate_falls_on_a_plateau",
        "says": "not with the loss of the epoch before",
        "code": """
def plateau_rates(losses, lr, factor, wait):
    rates, before, bad = [], np.inf, 0
    for loss in losses:
        rates.append(lr)
        bad = 0 if loss < before else bad + 1
        before = loss
        if bad > wait:
            lr, bad = lr * factor, 0
    return np.array(rates)
""",
    },
    "one epoch too early": {
        "task": "plateau_rates",
        "check": "rate_falls_on_a_plateau",
        "says": "more than",
        "code": """
def plateau_rates(losses, lr, factor, wait):
    rates, best, bad = [], np.inf, 0
    for loss in losses:
        rates.append(lr)
        bad = 0 if loss < best else bad + 1
        best = min(best, loss)
        if bad == wait:
            lr, bad = lr * factor, 0
    return np.array(rates)
""",
    },
    "the lower rate at once": {
        "task": "plateau_rates",
        "check": "rate_falls_on_a_plateau",
        "says": "comes with the next epoch",
        "code": """
def plateau_rates(losses, lr, factor, wait):
    rates, best, bad = [], np.inf, 0
    for loss in losses:
        bad = 0 if loss < best else bad + 1
        best = min(best, loss)
        if bad > wait:
            lr, bad = lr * factor, 0
        rates.append(lr)
    return np.array(rates)
""",
    },
    "an equal loss improves": {
        "task": "plateau_rates",
        "check": "ties_and_no_patience",
        "says": "equal loss",
        "code": """
def plateau_rates(losses, lr, factor, wait):
    rates, best, bad = [], np.inf, 0
    for loss in losses:
        rates.append(lr)
        if loss <= best:
            best, bad = loss, 0
        else:
            bad += 1
        if bad > wait:
            lr, bad = lr * factor, 0
    return np.array(rates)
""",
    },
    "counts on after a reduction": {
        "task": "plateau_rates",
        "check": "rate_falls_on_a_plateau",
        "says": "begin at 0 again",
        "code": """
def plateau_rates(losses, lr, factor, wait):
    rates, best, bad = [], np.inf, 0
    for loss in losses:
        rates.append(lr)
        if loss < best:
            best, bad = loss, 0
        else:
            bad += 1
            if bad > wait:
                lr = lr * factor
    return np.array(rates)
""",
    },
    "keeps the last epoch": {
        "task": "early_stopping",
        "check": "stops_and_keeps_the_best",
        "says": "the last epoch was kept",
        "code": """
def early_stopping(losses, patience):
    best, bad = np.inf, 0
    for epoch, loss in enumerate(losses):
        bad = 0 if loss < best else bad + 1
        best = min(best, loss)
        if bad >= patience:
            break
    return epoch + 1, epoch
""",
    },
    "keeps an epoch that never ran": {
        "task": "early_stopping",
        "check": "stops_and_keeps_the_best",
        "says": "never ran",
        "code": """
def early_stopping(losses, patience):
    best, bad = np.inf, 0
    for epoch, loss in enumerate(losses):
        bad = 0 if loss < best else bad + 1
        best = min(best, loss)
        if bad >= patience:
            break
    return epoch + 1, int(np.argmin(losses))
""",
    },
    "one epoch too long": {
        "task": "early_stopping",
        "check": "stops_and_keeps_the_best",
        "says": "one epoch too long",
        "code": """
def early_stopping(losses, patience):
    kept = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[kept]:
            kept = epoch
        if epoch - kept > patience:
            return epoch + 1, kept
    return len(losses), kept
""",
    },
    "keeps the later of two equal epochs": {
        "task": "early_stopping",
        "check": "equal_losses",
        "says": "the earlier epoch",
        "code": """
def early_stopping(losses, patience):
    best, bad, kept = np.inf, 0, 0
    for epoch, loss in enumerate(losses):
        bad = 0 if loss < best else bad + 1
        if loss <= best:
            best, kept = loss, epoch
        if bad >= patience:
            break
    return epoch + 1, kept
""",
    },
    "stops when the loss rises": {
        "task": "early_stopping",
        "check": "stops_and_keeps_the_best",
        "says": "not with the loss of the epoch before",
        "code": """
def early_stopping(losses, patience):
    bad = 0
    for epoch in range(1, len(losses)):
        bad = 0 if losses[epoch] < losses[epoch - 1] else bad + 1
        if bad >= patience:
            return epoch + 1, int(np.argmin(losses[: epoch + 1]))
    return len(losses), int(np.argmin(losses))
""",
    },
}

CORRECT = {
    "weights from a one-hot matrix, as a list": {
        "task": "balanced_weights",
        "code": """
def balanced_weights(labels, classes):
    totals = (labels[:, None] == np.arange(classes)).mean(0)
    return [float(1 / (classes * fraction)) if fraction else 0 for fraction in totals]
""",
    },
    "with torch": {
        "task": "weighted_cross_entropy",
        "code": """
def weighted_cross_entropy(logits, labels, weights):
    import torch

    log_p = torch.log_softmax(torch.from_numpy(logits), dim=1)
    return torch.nn.functional.nll_loss(log_p, torch.from_numpy(labels), torch.from_numpy(weights))
""",
    },
    "two mixed losses": {
        "task": "smoothed_loss",
        "code": """
def smoothed_loss(logits, labels, eps):
    n, k = logits.shape
    log_z = np.logaddexp.reduce(logits, axis=1)
    true = (log_z - logits[np.arange(n), labels]).mean()
    every = (log_z - logits.mean(1)).mean()
    targets = [[1 - eps + eps / k if c == y else eps / k for c in range(k)] for y in labels.tolist()]
    return targets, np.float32((1 - eps) * true + eps * every)
""",
    },
    "with plain Python": {
        "task": "difference_seen",
        "code": """
def difference_seen(before, after):
    steps = [float(b - a) for a, b in zip(before, after)]
    change = sum(steps) / len(steps)
    signs = {np.sign(step) for step in steps}
    spreads = [max(scores) - min(scores) for scores in (before, after)]
    return [change, signs in ({1.0}, {-1.0}) and abs(change) > max(spreads)]
""",
    },
    "with torch's schedule": {
        "task": "plateau_rates",
        "code": """
def plateau_rates(losses, lr, factor, wait):
    import torch

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=factor, patience=wait, threshold=0.0)
    rates = []
    for loss in losses:
        rates.append(optimizer.param_groups[0]["lr"])
        schedule.step(float(loss))
    return rates
""",
    },
    "without a loop over the epochs": {
        "task": "early_stopping",
        "code": """
def early_stopping(losses, patience):
    n = len(losses)
    before = np.minimum.accumulate(np.concatenate([[np.inf], losses]))[:-1]
    improved = np.where(losses < before, np.arange(n), 0)
    last = np.maximum.accumulate(improved)
    over = np.flatnonzero(np.arange(n) - last >= patience)
    ran = over[0] + 1 if len(over) else n
    return np.array([ran, last[ran - 1]])
""",
    },
}

"""Answers that the checks of exercise 02 must judge rightly."""

SHAPES = """
def output_shapes(layers, size, filters, hidden, classes):
    shapes, maps, side, block = [], 1, size, 0
    for position, letter in enumerate(layers):
        if letter == "C":
            maps = filters[min(block, len(filters) - 1)]
            shapes.append((maps, side, side))
        elif letter == "P":
            side = side // 2
            if position and layers[position - 1] == "C":
                block += 1
            shapes.append((maps, side, side))
        elif letter == "F":
            shapes.append((maps * side * side,))
        else:
            shapes.append((hidden,))
    return shapes + [(classes,)]
"""
COUNTS = """
def parameter_counts(layers, size, filters, hidden, classes):
    counts, before = [], (1, size, size)
    for letter, after in zip(list(layers) + ["D"], output_shapes(layers, size, filters, hidden, classes)):
        if letter == "C":
            counts.append((9 * before[0] + 1) * after[0])
        elif letter == "D":
            counts.append((before[0] + 1) * after[0])
        else:
            counts.append(0)
        before = after
    return counts
"""
NETWORK = """
def build_network(layers, size, filters, hidden, classes):
    parts, maps, side, block, numbers = [], 1, size, 0, None
    for i, letter in enumerate(layers):
        if letter == "C":
            out = filters[min(block, len(filters) - 1)]
            parts.append(nn.Conv2d(maps, out, 3, padding=1))
            parts.append(nn.ReLU())
            maps = out
        elif letter == "P":
            parts.append(nn.MaxPool2d(2))
            side = side // 2
            if layers[i - 1:i] == "C":
                block += 1
        elif letter == "F":
            parts.append(nn.Flatten())
            numbers = maps * side * side
        else:
            parts.append(nn.Linear(numbers, hidden))
            parts.append(nn.ReLU())
            parts.append(nn.Dropout(0.3))
            numbers = hidden
    if numbers is None:
        parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        numbers = maps
    parts.append(nn.Linear(numbers, classes))
    return nn.Sequential(*parts)
"""
ENTROPY = """
def cross_entropy(logits, labels):
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    truth = np.eye(logits.shape[1])[labels]
    n = len(labels)
    return -(log_p * truth).sum() / n, (np.exp(log_p) - truth) / n
"""


def changed(code, old, new):
    """`code` with one place changed."""
    if code.count(old) != 1:
        raise ValueError(f"{old!r} stands {code.count(old)} times in the code, not once")
    return code.replace(old, new)


WRONG = {
    "rounds an odd side up": {
        "task": "output_shapes",
        "check": "side_of_the_maps",
        "says": "rounded an odd side up",
        "code": changed(SHAPES, "side // 2", "(side + 1) // 2"),
    },
    "no padding": {
        "task": "output_shapes",
        "check": "side_of_the_maps",
        "says": "padding",
        "code": changed(SHAPES, "            maps = filters", "            side -= 2\n            maps = filters"),
    },
    "no output layer": {
        "task": "output_shapes",
        "check": "side_of_the_maps",
        "says": "output layer",
        "code": changed(SHAPES, " + [(classes,)]", ""),
    },
    "a new number of filters for each C": {
        "task": "output_shapes",
        "check": "filters_follow_blocks",
        "says": "each C",
        "code": changed(
            changed(SHAPES, "                block += 1\n", "                pass\n"),
            '            shapes.append((maps, side, side))\n        elif letter == "P"',
            '            block += 1\n            shapes.append((maps, side, side))\n        elif letter == "P"',
        ),
    },
    "a new number of filters after each P": {
        "task": "output_shapes",
        "check": "filters_follow_blocks",
        "says": "each P moved on",
        "code": changed(SHAPES, 'if position and layers[position - 1] == "C"', "if True"),
    },
    "a shape for the average": {
        "task": "output_shapes",
        "check": "words_without_f_or_d",
        "says": "average",
        "code": changed(
            SHAPES, "    return shapes", "    if 'F' not in layers:\n        shapes.append((maps,))\n    return shapes"
        ),
    },
    "no biases": {
        "task": "parameter_counts",
        "check": "weights_and_biases",
        "says": "biases are missing",
        "code": changed(changed(COUNTS, "9 * before[0] + 1", "9 * before[0]"), "(before[0] + 1)", "before[0]"),
    },
    "a filter sees one map": {
        "task": "parameter_counts",
        "check": "weights_and_biases",
        "says": "for each incoming map",
        "code": changed(COUNTS, "9 * before[0] + 1", "9 + 1"),
    },
    "flattens instead of averaging": {
        "task": "parameter_counts",
        "check": "output_after_the_average",
        "says": "not all pixels",
        "code": changed(COUNTS, "(before[0] + 1)", "(int(np.prod(before)) + 1)"),
    },
    "softmax at the end": {
        "task": "build_network",
        "check": "logits_of_the_network",
        "says": "softmax at the end",
        "code": changed(NETWORK, "    return nn", "    parts.append(nn.Softmax(1))\n    return nn"),
    },
    "ReLU at the end": {
        "task": "build_network",
        "check": "logits_of_the_network",
        "says": "ReLU after the output",
        "code": changed(NETWORK, "    return nn", "    parts.append(nn.ReLU())\n    return nn"),
    },
    "no ReLU after C": {
        "task": "build_network",
        "check": "logits_of_the_network",
        "says": "ReLU after C",
        "code": changed(NETWORK, "            parts.append(nn.ReLU())\n            maps", "            maps"),
    },
    "mean pooling": {
        "task": "build_network",
        "check": "logits_of_the_network",
        "says": "takes the mean",
        "code": changed(NETWORK, "MaxPool2d", "AvgPool2d"),
    },
    "convolutions without padding": {
        "task": "build_network",
        "check": "shapes_of_the_weights",
        "says": "padding",
        "code": changed(
            changed(NETWORK, ", padding=1", ""), "            maps = out", "            maps, side = out, side - 2"
        ),
    },
    "filters for each C": {
        "task": "build_network",
        "check": "shapes_of_the_weights",
        "says": "each C",
        "code": changed(
            changed(NETWORK, "                block += 1", "                pass"),
            "            maps = out",
            "            maps, block = out, block + 1",
        ),
    },
    "flattens a word without F": {
        "task": "build_network",
        "check": "shapes_of_the_weights",
        "says": "global average pooling",
        "code": changed(
            changed(NETWORK, "nn.AdaptiveAvgPool2d(1), ", ""),
            "        numbers = maps\n",
            "        numbers = maps * side * side\n",
        ),
    },
    "the largest value at the end": {
        "task": "build_network",
        "check": "average_without_f",
        "says": "largest value",
        "code": changed(NETWORK, "AdaptiveAvgPool2d", "AdaptiveMaxPool2d"),
    },
    "no dropout": {
        "task": "build_network",
        "check": "dropout_after_each_d",
        "says": "dropout after D is missing",
        "code": changed(NETWORK, "            parts.append(nn.Dropout(0.3))\n", ""),
    },
    "another dropout": {
        "task": "build_network",
        "check": "dropout_after_each_d",
        "says": "fraction of 0.3",
        "code": changed(NETWORK, "nn.Dropout(0.3)", "nn.Dropout()"),
    },
    "dropout after the output layer": {
        "task": "build_network",
        "check": "dropout_after_each_d",
        "says": "after the output layer",
        "code": changed(NETWORK, "    return nn", "    parts.append(nn.Dropout(0.3))\n    return nn"),
    },
    "dropout that never stops": {
        "task": "build_network",
        "check": "dropout_after_each_d",
        "says": "at work in a test",
        "code": changed(NETWORK, "nn.Dropout(0.3)", "Noise()")
        + """

class Noise(nn.Module):
    def forward(self, x):
        return nn.functional.dropout(x, 0.3)
""",
    },
    "pooling does not change the step": {
        "task": "receptive_field",
        "check": "poolings_widen_the_step",
        "says": "step between neighboring",
        "code": """
def receptive_field(layers):
    return 1 + 2 * layers.count("C") + layers.count("P")
""",
    },
    "doubles the step too early": {
        "task": "receptive_field",
        "check": "poolings_widen_the_step",
        "says": "before its own two values",
        "code": """
def receptive_field(layers):
    side, step = 1, 1
    for letter in layers:
        step *= 2 if letter == "P" else 1
        side += 2 * step if letter == "C" else step
    return side
""",
    },
    "pooling widens nothing": {
        "task": "receptive_field",
        "check": "poolings_widen_the_step",
        "says": "widens the field",
        "code": """
def receptive_field(layers):
    side, step = 1, 1
    for letter in layers:
        if letter == "C":
            side += 2 * step
        else:
            step *= 2
    return side
""",
    },
    "adds the sides of the filters": {
        "task": "receptive_field",
        "check": "only_convolutions",
        "says": "adds 3",
        "code": """
def receptive_field(layers):
    return 3 * layers.count("C") + 2 * layers.count("P")
""",
    },
    "the sum over the images": {
        "task": "cross_entropy",
        "check": "mean_loss",
        "says": "sum over the images",
        "code": changed(ENTROPY, ".sum() / n", ".sum()"),
    },
    "softmax applied twice": {
        "task": "cross_entropy",
        "check": "mean_loss",
        "says": "twice",
        "code": changed(
            ENTROPY,
            "    z = logits",
            "    logits = np.exp(logits)\n    logits = logits / logits.sum(axis=1, keepdims=True)\n    z = logits",
        ),
    },
    "softmax over the images": {
        "task": "cross_entropy",
        "check": "mean_loss",
        "says": "axis 0",
        "code": ENTROPY.replace("axis=1", "axis=0"),
    },
    "gradient of the sum": {
        "task": "cross_entropy",
        "check": "gradient_by_the_logits",
        "says": "not divided",
        "code": changed(ENTROPY, "(np.exp(log_p) - truth) / n", "np.exp(log_p) - truth"),
    },
    "truth minus softmax": {
        "task": "cross_entropy",
        "check": "gradient_by_the_logits",
        "says": "wrong sign",
        "code": changed(ENTROPY, "(np.exp(log_p) - truth)", "(truth - np.exp(log_p))"),
    },
    "exp of large logits": {
        "task": "cross_entropy",
        "check": "large_logits",
        "says": "nan or inf",
        "code": """
def cross_entropy(logits, labels):
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    return -np.log(p[rows, labels]).mean(), (p - np.eye(p.shape[1])[labels]) / len(labels)
""",
    },
    "log of a probability that is 0": {
        "task": "cross_entropy",
        "check": "large_logits",
        "says": "nan or inf",
        "code": """
def cross_entropy(logits, labels):
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    return -np.log(p[rows, labels]).mean(), (p - np.eye(p.shape[1])[labels]) / len(labels)
""",
    },
    "the letter before the first one": {
        "task": "output_shapes",
        "check": "filters_follow_blocks",
        "says": "directly after a C",
        "code": """
def output_shapes(layers, size, filters, hidden, classes):
    shapes, maps, side, block = [], 1, size, 0
    for i, letter in enumerate(layers):
        if letter == "C":
            maps = filters[min(block, len(filters) - 1)]
            shapes.append((maps, side, side))
        elif letter == "P":
            side = side // 2
            if layers[i - 1] == "C":
                block += 1
            shapes.append((maps, side, side))
        elif letter == "F":
            shapes.append((maps * side * side,))
        else:
            shapes.append((hidden,))
    return shapes + [(classes,)]
""",
    },
    "maps come last": {
        "task": "output_shapes",
        "check": "side_of_the_maps",
        "says": "the maps come first",
        "code": """
def output_shapes(layers, size, filters, hidden, classes):
    shapes, maps, side, block = [], 1, size, 0
    for i, letter in enumerate(layers):
        if letter == "C":
            maps = filters[min(block, len(filters) - 1)]
            shapes.append((side, side, maps))
        elif letter == "P":
            side = side // 2
            if i and layers[i - 1] == "C":
                block += 1
            shapes.append((side, side, maps))
        elif letter == "F":
            shapes.append((maps * side * side,))
        else:
            shapes.append((hidden,))
    return shapes + [(classes,)]
""",
    },
    "numbers in place of tuples": {
        "task": "output_shapes",
        "check": "side_of_the_maps",
        "says": "with a comma",
        "code": """
def output_shapes(layers, size, filters, hidden, classes):
    shapes, maps, side, block = [], 1, size, 0
    for i, letter in enumerate(layers):
        if letter == "C":
            maps = filters[min(block, len(filters) - 1)]
            shapes.append((maps, side, side))
        elif letter == "P":
            side = side // 2
            if i and layers[i - 1] == "C":
                block += 1
            shapes.append((maps, side, side))
        elif letter == "F":
            shapes.append(maps * side * side)
        else:
            shapes.append(hidden)
    return shapes + [classes]
""",
    },
    "counts with a new number of filters for each C": {
        "task": "parameter_counts",
        "check": "weights_and_biases",
        "says": "each C",
        "code": """
def parameter_counts(layers, size, filters, hidden, classes):
    counts, maps, side, block, numbers = [], 1, size, 0, None
    for before, letter in zip(" " + layers, layers):
        if letter == "C":
            width = filters[min(block, len(filters) - 1)]
            counts.append(9 * maps * width + width)
            maps = width; block += 1
        elif letter == "P":
            counts.append(0)
            side //= 2
        elif letter == "F":
            counts.append(0)
            numbers = maps * side * side
        else:
            counts.append(numbers * hidden + hidden)
            numbers = hidden
    if numbers is None:
        numbers = maps
    counts.append(numbers * classes + classes)
    return counts
""",
    },
    "dropout before the dense layer": {
        "task": "build_network",
        "check": "dropout_after_each_d",
        "says": "at another place",
        "code": """
def build_network(layers, size, filters, hidden, classes):
    parts, maps, side, block, numbers = [], 1, size, 0, None
    for i, letter in enumerate(layers):
        if letter == "C":
            out = filters[min(block, len(filters) - 1)]
            parts += [nn.Conv2d(maps, out, 3, padding=1), nn.ReLU()]
            maps = out
        elif letter == "P":
            parts.append(nn.MaxPool2d(2))
            side = side // 2
            if layers[i - 1:i] == "C":
                block += 1
        elif letter == "F":
            parts.append(nn.Flatten())
            numbers = maps * side * side
        else:
            parts += [nn.Dropout(0.3), nn.Linear(numbers, hidden), nn.ReLU()]
            numbers = hidden
    if numbers is None:
        parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        numbers = maps
    parts.append(nn.Linear(numbers, classes))
    return nn.Sequential(*parts)
""",
    },
    "dropout after C": {
        "task": "build_network",
        "check": "dropout_after_each_d",
        "says": "a word without D gives random",
        "code": """
def build_network(layers, size, filters, hidden, classes):
    parts, maps, side, block, numbers = [], 1, size, 0, None
    for i, letter in enumerate(layers):
        if letter == "C":
            out = filters[min(block, len(filters) - 1)]
            parts += [nn.Conv2d(maps, out, 3, padding=1), nn.ReLU(), nn.Dropout(0.3)]
            maps = out
        elif letter == "P":
            parts.append(nn.MaxPool2d(2))
            side = side // 2
            if layers[i - 1:i] == "C":
                block += 1
        elif letter == "F":
            parts.append(nn.Flatten())
            numbers = maps * side * side
        else:
            parts += [nn.Linear(numbers, hidden), nn.ReLU(), nn.Dropout(0.3)]
            numbers = hidden
    if numbers is None:
        parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        numbers = maps
    parts.append(nn.Linear(numbers, classes))
    return nn.Sequential(*parts)
""",
    },
    "ReLU at the end is no dropout": {
        "task": "build_network",
        "check": "dropout_after_each_d",
        "says": "ReLU after the output layer",
        "code": """
def build_network(layers, size, filters, hidden, classes):
    parts, maps, side, numbers = [], 1, size, None
    for letter in layers:
        if letter == "C":
            parts += [nn.Conv2d(maps, filters[0], 3, padding=1), nn.ReLU()]
            maps = filters[0]
        elif letter == "P":
            parts.append(nn.MaxPool2d(2))
            side //= 2
        elif letter == "F":
            parts.append(nn.Flatten())
            numbers = maps * side * side
        else:
            parts += [nn.Linear(numbers, hidden), nn.ReLU(), nn.Dropout(0.3)]
            numbers = hidden
    return nn.Sequential(*parts, nn.Linear(numbers, classes), nn.ReLU())
""",
    },
    "adds to the step": {
        "task": "receptive_field",
        "check": "poolings_widen_the_step",
        "says": "it doubles it",
        "code": """
def receptive_field(layers):
    side, step = 1, 1
    for l in layers:
        if l == 'C': side += 2*step
        else:
            side += step; step += 1
    return side
""",
    },
    "a small number in the logarithm": {
        "task": "cross_entropy",
        "check": "large_logits",
        "says": "a small number was added",
        "code": """
def cross_entropy(z, y):
    s = z - z.max(1, keepdims=True)
    p = np.exp(s); p /= p.sum(1, keepdims=True)
    g = p.copy(); g[np.arange(len(y)), y] -= 1
    return -np.log(p[np.arange(len(y)), y] + 1e-12).mean(), g/len(y)
""",
    },
    "other is always the better one": {
        "task": "compare_seeds",
        "check": "difference_and_gap",
        "says": "always the better",
        "code": """
def compare_seeds(one, other):
    return np.mean(other) - np.mean(one), np.min(other) - np.max(one)
""",
    },
    "a difference without a sign": {
        "task": "compare_seeds",
        "check": "difference_and_gap",
        "says": "never negative",
        "code": """
def compare_seeds(one, other):
    worse, better = sorted((one, other), key=np.mean)
    return np.mean(better) - np.mean(worse), better.min() - worse.max()
""",
    },
}

CORRECT = {
    "asks PyTorch for the shapes": {
        "task": "output_shapes",
        "code": '''
def output_shapes(layers, size, filters, hidden, classes):
    """Runs an image through layers one by one; returns lists."""
    x, rest, shapes = torch.zeros(1, 1, size, size), list(filters), []
    for i, letter in enumerate(layers):
        if letter == "C":
            x = nn.Conv2d(x.shape[1], rest[0], 3, padding="same")(x)
        elif letter == "P":
            x = nn.functional.max_pool2d(x, 2)
            if layers[:i].endswith("C") and len(rest) > 1:
                rest.pop(0)
        else:
            x = x.flatten(1) if letter == "F" else x.new_zeros(1, hidden)
        shapes.append(list(x.shape[1:]))
    return [*shapes, torch.Size([classes])]
''',
    },
    "counts the numbers of real layers": {
        "task": "parameter_counts",
        "code": '''
def count(layer):
    return sum(p.numel() for p in layer.parameters())


def parameter_counts(layers, size, filters, hidden, classes):
    """Makes the layers, and does not use Task 1."""
    maps, side, numbers, blocks, found = 1, size, None, layers.split("F")[0].replace("CP", "C|P").split("|"), []
    for block, part in enumerate(blocks):
        width = filters[block] if block < len(filters) else filters[-1]
        for letter in part:
            if letter == "C":
                found.append(count(nn.Conv2d(maps, width, 3)))
                maps = width
            else:
                found.append(0)
                side //= 2
    numbers = maps
    if "F" in layers:
        found.append(0)
        numbers *= side * side
    for _ in range(layers.count("D")):
        found.append(count(nn.Linear(numbers, hidden)))
        numbers = hidden
    return np.array(found + [count(nn.Linear(numbers, classes))])
''',
    },
    "a class of its own": {
        "task": "build_network",
        "code": '''
class Word(nn.Module):
    """Convolutions in one list, dense layers in another one; the rest are function calls."""

    def __init__(self, layers, size, filters, hidden, classes):
        super().__init__()
        self.word, self.convolutions, self.dense = layers, nn.ModuleList(), nn.ModuleList()
        maps, block = 1, 0
        for before, letter in zip(" " + layers, layers):
            if letter == "C":
                width = list(filters)[:block + 1][-1]
                self.convolutions.append(nn.Conv2d(maps, width, kernel_size=3, padding="same"))
                maps = width
            block += before + letter == "CP"
        side = size >> layers.count("P")
        numbers = maps * side * side if "F" in layers else maps
        for _ in range(layers.count("D")):
            self.dense.append(nn.Linear(numbers, hidden))
            numbers = hidden
        self.dense.append(nn.Linear(numbers, classes))

    def forward(self, x):
        convolutions, dense = iter(self.convolutions), iter(self.dense)
        for letter in self.word:
            if letter == "C":
                x = torch.relu(next(convolutions)(x))
            elif letter == "P":
                x = nn.functional.max_pool2d(x, 2)
            elif letter == "F":
                x = x.flatten(1)
            else:
                x = nn.functional.dropout(next(dense)(x).relu(), 0.3, self.training)
        return next(dense)(x if x.ndim == 2 else x.mean((2, 3)))


def build_network(layers, size, filters, hidden, classes):
    return Word(layers, size, filters, hidden, classes)
''',
    },
    "from the last letter back": {
        "task": "receptive_field",
        "code": """
def receptive_field(layers):
    if not layers:
        return 1
    values = 1
    for letter in layers[::-1]:
        values = values + 2 if letter == "C" else 2 * values
    return values
""",
    },
    "with torch": {
        "task": "cross_entropy",
        "code": '''
def cross_entropy(logits, labels):
    """Lets PyTorch differentiate; returns tensors."""
    z = torch.tensor(logits, requires_grad=True)
    loss = torch.logsumexp(z, 1).sub(z[range(len(labels)), labels]).mean()
    loss.backward()
    return [loss.detach(), z.grad]
''',
    },
    "an array": {
        "task": "compare_seeds",
        "code": """
def compare_seeds(one, other):
    sign = 1 if sum(other) / len(other) > sum(one) / len(one) else -1
    worse, better = [one, other][::sign]
    return np.array([sum(other) / len(other) - sum(one) / len(one), min(better) - max(worse)])
""",
    },
}

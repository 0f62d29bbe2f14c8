"""Answers that the checks of exercise 07 must judge rightly."""

HOOKED = """
def grad_cam(net, layer, image, target):
    kept = []
    handle = layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
    logits = net(image)
    {remove}
    features = kept[0]
    gradient = torch.autograd.grad({score}, features)[0]
    {end}
"""
BATCH = """
def grad_cam_batch(net, layer, images, targets):
    kept = []
    handle = layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
    logits = net(images)
    handle.remove()
    features = kept[0]
    gradient = torch.autograd.grad({score}, features)[0]
    {end}
"""
ONE = "weights = gradient[0].mean((1, 2)); return (weights[:, None, None] * features[0]).sum(0).detach()"
ALL = "weights = gradient.mean((2, 3), keepdim=True); return (weights * features).sum(1).detach()"


def hooked(score="logits[0, target]", end=ONE, remove="handle.remove()"):
    return HOOKED.format(score=score, end=end, remove=remove)


def batch(score="logits[torch.arange(len(images)), targets].sum()", end=ALL):
    return BATCH.format(score=score, end=end)


WRONG = {
    "gradient of the softmax probability": {
        "task": "grad_cam",
        "check": "map_at_an_early_layer",
        "says": "probability",
        "code": hooked(score="logits.softmax(1)[0, target]"),
    },
    "mean over the feature maps": {
        "task": "grad_cam",
        "check": "map_at_an_early_layer",
        "says": "wrong axis",
        "code": hooked(end="return (gradient[0].mean(0) * features[0]).sum(0).detach()"),
    },
    "mean over one axis only": {
        "task": "grad_cam",
        "check": "map_at_an_early_layer",
        "says": "rows only",
        "code": hooked(end="return (gradient[0].mean(1, keepdim=True) * features[0]).sum(0).detach()"),
    },
    "no mean at all": {
        "task": "grad_cam",
        "check": "map_at_an_early_layer",
        "says": "not averaged",
        "code": hooked(end="return (gradient[0] * features[0]).sum(0).detach()"),
    },
    "ReLU in the raw map": {
        "task": "grad_cam",
        "check": "map_at_an_early_layer",
        "says": "ReLU was applied",
        "code": hooked(end=ONE.replace(".detach()", ".relu().detach()")),
    },
    "the predicted class": {
        "task": "grad_cam",
        "check": "map_of_the_class_asked_for",
        "says": "predicted class",
        "code": hooked(score="logits[0, logits[0].argmax()]"),
    },
    "the sum of all logits": {
        "task": "grad_cam",
        "check": "map_at_an_early_layer",
        "says": "all logits",
        "code": hooked(score="logits.sum()"),
    },
    "hook never removed": {
        "task": "grad_cam",
        "check": "hooks_are_removed",
        "says": "not removed",
        "code": hooked(remove="pass"),
    },
    "pixels not counted": {
        "task": "class_activation_map",
        "check": "closed_form",
        "says": "number of pixels",
        "code": """
def class_activation_map(features, weights, target):
    return np.einsum("c,chw->hw", weights[target], features)
""",
    },
    "weights of a column": {
        "task": "class_activation_map",
        "check": "closed_form",
        "says": "column",
        "code": """
def class_activation_map(features, weights, target):
    return np.einsum("c,chw->hw", weights[:, target], features) / features[0].size
""",
    },
    "the places are lost": {
        "task": "class_activation_map",
        "check": "adds_up_to_the_logit",
        "says": "places are lost",
        "code": """
def class_activation_map(features, weights, target):
    logit = weights[target] @ features.mean((1, 2))
    return np.full(features.shape[1:], logit / features[0].size)
""",
    },
    "ReLU in the closed form": {
        "task": "class_activation_map",
        "check": "closed_form",
        "says": "ReLU was applied",
        "code": """
def class_activation_map(features, weights, target):
    return np.maximum(np.einsum("c,chw->hw", weights[target], features) / features[0].size, 0)
""",
    },
    "no ReLU": {
        "task": "positive_part",
        "check": "scaled_to_one",
        "says": "ReLU is missing",
        "code": """
def positive_part(maps):
    top = maps.max((1, 2), keepdims=True)
    return maps / np.where(top > 0, top, 1)
""",
    },
    "stretched from the minimum": {
        "task": "positive_part",
        "check": "scaled_to_one",
        "says": "minimum to its maximum",
        "code": """
def positive_part(maps):
    low, top = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
    return (maps - low) / np.where(top > low, top - low, 1)
""",
    },
    "the maximum of the batch": {
        "task": "positive_part",
        "check": "scaled_to_one",
        "says": "largest value of the batch",
        "code": """
def positive_part(maps):
    maps = np.maximum(maps, 0)
    return maps / max(maps.max(), 1e-30)
""",
    },
    "divided by zero": {
        "task": "positive_part",
        "check": "blank_maps_stay_blank",
        "says": "divided by zero",
        "code": """
def positive_part(maps):
    maps = np.maximum(maps, 0)
    return maps / maps.max((1, 2), keepdims=True)
""",
    },
    "a small number added": {
        "task": "positive_part",
        "check": "weak_maps_are_scaled_too",
        "says": "small number",
        "code": """
def positive_part(maps):
    maps = np.maximum(maps, 0)
    return maps / (maps.max((1, 2), keepdims=True) + 1e-7)
""",
    },
    "corners aligned": {
        "task": "enlarge",
        "check": "bilinear_with_aligned_middles",
        "says": "corners were aligned",
        "code": """
def enlarge(coarse, size):
    t = torch.as_tensor(coarse)[None, None]
    return torch.nn.functional.interpolate(t, size, mode="bilinear", align_corners=True)[0, 0].numpy()
""",
    },
    "copies instead of mixing": {
        "task": "enlarge",
        "check": "bilinear_with_aligned_middles",
        "says": "nearest",
        "code": """
def enlarge(coarse, size):
    rows = np.arange(size[0]) * coarse.shape[0] // size[0]
    columns = np.arange(size[1]) * coarse.shape[1] // size[1]
    return coarse[rows][:, columns]
""",
    },
    "the halves forgotten": {
        "task": "enlarge",
        "check": "bilinear_with_aligned_middles",
        "says": "two halves",
        "code": """
def enlarge(coarse, size):
    def mix(values, length):
        n = len(values)
        place = np.clip(np.arange(length) * n / length, 0, n - 1)
        low = place.astype(int)
        fraction = (place - low)[:, None]
        return (1 - fraction) * values[low] + fraction * values[np.minimum(low + 1, n - 1)]
    return mix(mix(coarse, size[0]).T, size[1]).T
""",
    },
    "the line goes on at the border": {
        "task": "enlarge",
        "check": "border_and_single_pixels",
        "says": "border",
        "code": """
def enlarge(coarse, size):
    def mix(values, length):
        n = len(values)
        place = (np.arange(length) + 0.5) * n / length - 0.5
        low = np.clip(np.floor(place), 0, max(n - 2, 0)).astype(int)
        fraction = (place - low)[:, None]
        return (1 - fraction) * values[low] + fraction * values[np.minimum(low + 1, n - 1)]
    return mix(mix(coarse, size[0]).T, size[1]).T
""",
    },
    "width before height": {
        "task": "enlarge",
        "check": "bilinear_with_aligned_middles",
        "says": "(height, width)",
        "code": """
def enlarge(coarse, size):
    t = torch.as_tensor(coarse)[None, None]
    return torch.nn.functional.interpolate(t, (size[1], size[0]), mode="bilinear")[0, 0].numpy()
""",
    },
    "gradients averaged over the batch": {
        "task": "grad_cam_batch",
        "check": "maps_of_a_batch",
        "says": "averaged over the batch",
        "code": batch(end="return (gradient.mean((0, 2, 3))[:, None, None] * features).sum(1).detach()"),
    },
    "mean of the logits": {
        "task": "grad_cam_batch",
        "check": "maps_of_a_batch",
        "says": "added up",
        "code": batch(score="logits[torch.arange(len(images)), targets].mean()"),
    },
    "every target for every image": {
        "task": "grad_cam_batch",
        "check": "maps_of_a_batch",
        "says": "from each row",
        "code": batch(score="logits[:, targets].sum()"),
    },
    "one target for all": {
        "task": "grad_cam_batch",
        "check": "maps_of_a_batch",
        "says": "first image",
        "code": batch(score="logits[:, targets[0]].sum()"),
    },
    "the batch changes an image's map": {
        "task": "grad_cam_batch",
        "check": "batch_equals_one_by_one",
        "says": "depends on the other images",
        "code": batch(score="logits[torch.arange(len(images)), targets].mean()"),
    },
    "one image at a time": {
        "task": "grad_cam_batch",
        "check": "one_run_for_all",
        "says": "all images at once",
        "code": """
def grad_cam_batch(net, layer, images, targets):
    return torch.stack([grad_cam(net, layer, images[n:n + 1], int(targets[n])) for n in range(len(images))])
""",
    },
}
CORRECT = {
    "with retain_grad and backward, as an array": {
        "task": "grad_cam",
        "code": """
class Keeper:
    def __call__(self, module, inputs, output):
        output.retain_grad()
        self.output = output

def grad_cam(net, layer, image, target):
    keeper = Keeper()
    handle = layer.register_forward_hook(keeper)
    net(image)[0, target].backward()
    handle.remove()
    weights = keeper.output.grad.numpy().mean(axis=(0, 2, 3))
    return np.tensordot(weights, keeper.output.detach().numpy()[0], axes=1)
""",
    },
    "with a forward and a backward hook": {
        "task": "grad_cam",
        "code": """
def grad_cam(net, layer, image, target):
    store = {}
    handles = [layer.register_forward_hook(lambda m, i, o: store.update(a=o.detach())),
               layer.register_full_backward_hook(lambda m, gi, go: store.update(g=go[0].detach()))]
    try:
        net.zero_grad()
        score = net(image)
        score[:, target].sum().backward()
    finally:
        for h in handles:
            h.remove()
    return (store["g"].mean(dim=(2, 3), keepdim=True) * store["a"]).sum(dim=1).squeeze(0)
""",
    },
    "as a matrix product, float32": {
        "task": "class_activation_map",
        "code": """
def class_activation_map(features, weights, target):
    c, h, w = features.shape
    row = np.asarray(weights, dtype=np.float32)[target]
    return (row @ np.asarray(features, dtype=np.float32).reshape(c, h * w)).reshape(h, w) / np.float32(h * w)
""",
    },
    "in a loop, as a list": {
        "task": "positive_part",
        "code": """
def positive_part(maps):
    out = []
    for m in maps:
        p = m.clip(min=0)
        out.append((p / p.max() if p.any() else p).tolist())
    return out
""",
    },
    "with torch, where the option is right": {
        "task": "enlarge",
        "code": """
def enlarge(coarse, size):
    t = torch.as_tensor(coarse, dtype=torch.float32)[None, None]
    return torch.nn.functional.interpolate(t, tuple(size), mode="bilinear", align_corners=False)[0, 0]
""",
    },
    "as a product with two tables of hats": {
        "task": "enlarge",
        "code": """
def enlarge(coarse, size):
    def hats(n, length):
        place = np.clip((np.arange(length) + 0.5) * n / length - 0.5, 0, n - 1)
        return np.maximum(1 - np.abs(place[:, None] - np.arange(n)), 0)
    h, w = coarse.shape
    return hats(h, size[0]) @ coarse @ hats(w, size[1]).T
""",
    },
    "with gather and backward": {
        "task": "grad_cam_batch",
        "code": """
def grad_cam_batch(net, layer, images, targets):
    kept = {}
    def keep(module, inputs, output):
        kept["a"] = output
        output.register_hook(lambda g: kept.update(g=g))
    handle = layer.register_forward_hook(keep)
    net(images).gather(1, targets[:, None]).sum().backward()
    handle.remove()
    maps = torch.zeros(len(images), *kept["a"].shape[2:])
    for n in range(len(images)):
        for c in range(kept["a"].shape[1]):
            maps[n] += kept["g"][n, c].mean() * kept["a"][n, c].detach()
    return maps.numpy()
""",
    },
}

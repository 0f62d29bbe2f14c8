"""Answers that the checks of exercise 05 must judge rightly."""

WRONG = {
    "counts the buffers": {
        "task": "count_parameters",
        "check": "all_parameters",
        "says": "buffers",
        "code": """
def count_parameters(net):
    trainable = sum(p.numel() for p in net.parameters() if p.requires_grad)
    return trainable, sum(t.numel() for t in net.state_dict().values())
""",
    },
    "counts the tensors": {
        "task": "count_parameters",
        "check": "trainable_parameters",
        "says": "not the numbers in them",
        "code": """
def count_parameters(net):
    return len([p for p in net.parameters() if p.requires_grad]), len(list(net.parameters()))
""",
    },
    "counts frozen parameters": {
        "task": "count_parameters",
        "check": "trainable_parameters",
        "says": "requires_grad",
        "code": """
def count_parameters(net):
    total = sum(p.numel() for p in net.parameters())
    return total, total
""",
    },
    "counts through modules": {
        "task": "count_parameters",
        "check": "all_parameters",
        "says": "several times",
        "code": """
def count_parameters(net):
    trainable = everything = 0
    for module in net.modules():
        for p in module.parameters():
            everything += p.numel()
            trainable += p.numel() * p.requires_grad
    return trainable, everything
""",
    },
    "a slice with minus zero": {
        "task": "freeze_all_but",
        "check": "no_block_is_released",
        "says": "blocks[-0:]",
        "code": """
def freeze_all_but(net, k):
    net.body.requires_grad_(False)
    for block in list(net.body)[-k:]:
        block.requires_grad_(True)
""",
    },
    "off by one block": {
        "task": "freeze_all_but",
        "check": "last_blocks_are_released",
        "says": "off by one",
        "code": """
def freeze_all_but(net, k):
    for number, block in enumerate(net.body):
        block.requires_grad_(number > len(net.body) - k)
""",
    },
    "releases the first blocks": {
        "task": "freeze_all_but",
        "check": "last_blocks_are_released",
        "says": "the first k blocks",
        "code": """
def freeze_all_but(net, k):
    for number, block in enumerate(net.body):
        block.requires_grad_(number < k)
""",
    },
    "freezes the head": {
        "task": "freeze_all_but",
        "check": "no_block_is_released",
        "says": "the head is frozen",
        "code": """
def freeze_all_but(net, k):
    for p in net.parameters():
        p.requires_grad = False
    for block in net.body[len(net.body) - k:]:
        for p in block.parameters():
            p.requires_grad = True
""",
    },
    "never releases again": {
        "task": "freeze_all_but",
        "check": "only_the_last_call_counts",
        "says": "not released again",
        "code": """
def freeze_all_but(net, k):
    for block in net.body[: len(net.body) - k]:
        block.requires_grad_(False)
""",
    },
    "freezes only convolutions": {
        "task": "freeze_all_but",
        "check": "last_blocks_are_released",
        "says": "the batch norm still trains",
        "code": """
def freeze_all_but(net, k):
    for number, block in enumerate(net.body):
        block.conv.weight.requires_grad = number >= len(net.body) - k
""",
    },
    "counts layers instead of blocks": {
        "task": "freeze_all_but",
        "check": "last_blocks_are_released",
        "says": "in part",
        "code": """
def freeze_all_but(net, k):
    layers = [layer for block in net.body for layer in block]
    for number, layer in enumerate(layers):
        layer.requires_grad_(number >= len(layers) - k)
""",
    },
    "only net.train()": {
        "task": "set_train_mode",
        "check": "frozen_norms_stand_still",
        "says": "eval mode does",
        "code": """
def set_train_mode(net):
    net.train()
""",
    },
    "everything in eval mode": {
        "task": "set_train_mode",
        "check": "other_norms_learn",
        "says": "did not move",
        "code": """
def set_train_mode(net):
    net.eval()
""",
    },
    "all batch norms in eval mode": {
        "task": "set_train_mode",
        "check": "other_norms_learn",
        "says": "only frozen batch norms",
        "code": """
def set_train_mode(net):
    net.train()
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
""",
    },
    "the momentum is 0": {
        "task": "set_train_mode",
        "check": "frozen_norms_stand_still",
        "says": "mean and variance of the batch",
        "code": """
def set_train_mode(net):
    net.train()
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.1 if layer.weight.requires_grad else 0.0
""",
    },
    "looks only at the top level": {
        "task": "set_train_mode",
        "check": "frozen_norms_stand_still",
        "says": "moved with the batch",
        "code": """
def set_train_mode(net):
    net.train()
    for layer in net.children():
        if isinstance(layer, nn.BatchNorm2d) and not layer.weight.requires_grad:
            layer.eval()
""",
    },
    "never back into training mode": {
        "task": "set_train_mode",
        "check": "modes_follow_the_freezing",
        "says": "not frozen, but in eval mode",
        "code": """
def set_train_mode(net):
    net.head.train()
    for block in net.body:
        if not block.norm.weight.requires_grad:
            block.norm.eval()
""",
    },
    "normalized twice": {
        "task": "for_imagenet",
        "check": "normalized_once",
        "says": "twice",
        "code": """
def for_imagenet(images):
    x = (images / 255).repeat(1, 3, 1, 1)
    mean, std = torch.tensor(IMAGENET_MEAN)[:, None, None], torch.tensor(IMAGENET_STD)[:, None, None]
    for _ in range(2):
        x = (x - mean) / std
    return x
""",
    },
    "not divided by 255": {
        "task": "for_imagenet",
        "check": "normalized_once",
        "says": "divided by 255 before",
        "code": """
def for_imagenet(images):
    mean, std = torch.tensor(IMAGENET_MEAN)[:, None, None], torch.tensor(IMAGENET_STD)[:, None, None]
    return (images.float() - mean) / std
""",
    },
    "mean of the images": {
        "task": "for_imagenet",
        "check": "normalized_once",
        "says": "not those of ImageNet",
        "code": """
def for_imagenet(images):
    x = images.float() / 255
    return ((x - x.mean()) / x.std(correction=0)).repeat(1, 3, 1, 1)
""",
    },
    "one channel": {
        "task": "for_imagenet",
        "check": "normalized_once",
        "says": "one channel",
        "code": """
def for_imagenet(images):
    return (images / 255 - sum(IMAGENET_MEAN) / 3) / (sum(IMAGENET_STD) / 3)
""",
    },
    "last block with the full rate": {
        "task": "parameter_groups",
        "check": "rates_fall_away_from_the_head",
        "says": "off by one",
        "code": """
def parameter_groups(net, lr, decay):
    groups = [{"params": list(net.head.parameters()), "lr": lr}]
    for steps, block in enumerate(reversed(net.body)):
        groups.append({"params": [p for p in block.parameters() if p.requires_grad], "lr": lr * decay**steps})
    return groups
""",
    },
    "rates in reversed order": {
        "task": "parameter_groups",
        "check": "rates_fall_away_from_the_head",
        "says": "reversed",
        "code": """
def parameter_groups(net, lr, decay):
    groups = [{"params": list(net.head.parameters()), "lr": lr}]
    for i, block in enumerate(net.body):
        groups.append({"params": [p for p in block.parameters() if p.requires_grad], "lr": lr * decay ** (i + 1)})
    return groups
""",
    },
    "the head twice": {
        "task": "parameter_groups",
        "check": "every_trainable_parameter_once",
        "says": "in two groups",
        "code": """
def parameter_groups(net, lr, decay):
    groups = [{"params": [p for p in net.parameters() if p.requires_grad], "lr": lr}]
    for i, block in enumerate(net.body):
        params = [p for p in block.parameters() if p.requires_grad]
        groups.append({"params": params, "lr": lr * decay ** (len(net.body) - i)})
    return groups
""",
    },
    "frozen parameters in a group": {
        "task": "parameter_groups",
        "check": "frozen_parameters_are_left_out",
        "says": "a frozen parameter",
        "code": """
def parameter_groups(net, lr, decay):
    parts = [net.head, *reversed(net.body)]
    return [{"params": part.parameters(), "lr": lr * decay**i} for i, part in enumerate(parts)]
""",
    },
    "only convolutions in the groups": {
        "task": "parameter_groups",
        "check": "every_trainable_parameter_once",
        "says": "batch norm is in no group",
        "code": """
def parameter_groups(net, lr, decay):
    groups = [{"params": list(net.head.parameters()), "lr": lr}]
    for i, block in enumerate(reversed(net.body), 1):
        groups.append({"params": [p for p in [block.conv.weight] if p.requires_grad], "lr": lr * decay**i})
    return groups
""",
    },
    "float64": {
        "task": "for_imagenet",
        "check": "independent_of_the_batch",
        "says": "float32",
        "code": """
def for_imagenet(images):
    x = images.double() / 255
    x = x.repeat(1, 3, 1, 1)
    m, s = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
    return (x - m) / s
""",
    },
    "off by one is not forgetting": {
        "task": "freeze_all_but",
        "check": "only_the_last_call_counts",
        "says": "off by one",
        "code": """
def freeze_all_but(net, k):
    for number, block in enumerate(net.body):
        block.requires_grad_(number > len(net.body) - k)
""",
    },
    "the head twice has no clear rate": {
        "task": "parameter_groups",
        "check": "rates_fall_away_from_the_head",
        "says": "in two groups",
        "code": """
def parameter_groups(net, lr, decay):
    groups = [{"params": [p for p in net.parameters() if p.requires_grad], "lr": lr}]
    for i, block in enumerate(net.body):
        params = [p for p in block.parameters() if p.requires_grad]
        groups.append({"params": params, "lr": lr * decay ** (len(net.body) - i)})
    return groups
""",
    },
    "takes running values for frozen parameters": {
        "task": "read_summary",
        "check": "body_that_was_frozen",
        "says": "running values are counted",
        "code": """
def read_summary(net, total, trainable):
    head = sum(p.numel() for p in net.head.parameters())
    return trainable - head, total - trainable
""",
    },
    "counts the number of batches": {
        "task": "read_summary",
        "check": "body_that_was_frozen",
        "says": "Keras has none",
        "code": """
def read_summary(net, total, trainable):
    head = sum(p.numel() for p in net.head.parameters())
    return trainable - head, total - trainable - sum(b.numel() for b in net.buffers())
""",
    },
    "counts the head as body": {
        "task": "read_summary",
        "check": "body_that_learned",
        "says": "the head is counted",
        "code": """
def read_summary(net, total, trainable):
    running = sum(b.numel() for name, b in net.named_buffers() if "running" in name)
    return trainable, total - trainable - running
""",
    },
    "believes the network in hand": {
        "task": "read_summary",
        "check": "body_that_learned",
        "says": "the network in your hands",
        "code": """
def read_summary(net, total, trainable):
    learned = sum(p.numel() for p in net.body.parameters() if p.requires_grad)
    return learned, sum(p.numel() for p in net.body.parameters()) - learned
""",
    },
    "believes the text": {
        "task": "read_summary",
        "check": "body_that_learned",
        "says": "what learned of the body",
        "code": """
def read_summary(net, total, trainable):
    return 0, sum(p.numel() for p in net.body.parameters())
""",
    },
    "learned and frozen exchanged": {
        "task": "read_summary",
        "check": "body_that_learned",
        "says": "exchanged",
        "code": """
def read_summary(net, total, trainable):
    running = 2 * sum(block.norm.num_features for block in net.body)
    return total - trainable - running, trainable - sum(p.numel() for p in net.head.parameters())
""",
    },
}

CORRECT = {
    "from the body's own size": {
        "task": "read_summary",
        "code": """
def read_summary(net, total, trainable):
    learned = trainable - sum(int(np.prod(p.shape)) for p in net.head.parameters())
    return np.array([learned, sum(p.numel() for p in net.body.parameters()) - learned])
""",
    },
    "layer by layer, without recursion": {
        "task": "count_parameters",
        "code": """
def count_parameters(net):
    trainable = everything = 0
    for module in net.modules():
        for p in module._parameters.values():
            if p is not None:
                everything += int(np.prod(p.shape))
                trainable += int(np.prod(p.shape)) if p.requires_grad else 0
    return [trainable, torch.tensor(everything)]
""",
    },
    "by the names of the parameters": {
        "task": "freeze_all_but",
        "code": """
def freeze_all_but(net, k):
    blocks = len(net.body)
    for name, p in net.named_parameters():
        part, number = name.split(".")[:2]
        p.requires_grad = part == "head" or int(number) in range(blocks - k, blocks)
    return net
""",
    },
    "block by block": {
        "task": "set_train_mode",
        "code": """
def set_train_mode(net):
    net.eval()
    for module in net.modules():
        module.training = not (isinstance(module, nn.BatchNorm2d) and not module.weight.requires_grad)
""",
    },
    "channel by channel, one scale and one offset": {
        "task": "for_imagenet",
        "code": """
def for_imagenet(images):
    gray = images[:, 0].numpy().astype(np.float32)
    channels = [gray * np.float32(1 / (255 * s)) - np.float32(m / s) for m, s in zip(IMAGENET_MEAN, IMAGENET_STD)]
    return torch.from_numpy(np.stack(channels, axis=1))
""",
    },
    "one group for every parameter": {
        "task": "parameter_groups",
        "code": """
def parameter_groups(net, lr, decay):
    groups = []
    rate = lr
    for part in [net.head] + list(net.body)[::-1]:
        groups += [{"params": p, "lr": torch.tensor(rate)} for p in part.parameters() if p.requires_grad]
        rate = rate * decay
    return tuple(groups)
""",
    },
    "no copies of the channel": {
        "task": "for_imagenet",
        "code": """
def for_imagenet(images):
    x = images.float() / 255
    m, s = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
    return (x - m) / s
""",
    },
}

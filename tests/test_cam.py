"""Class activation maps: pytorch-grad-cam and plain autograd are the oracles; no trace stays on the model."""

import copy
import warnings
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from cxrlib.cam import METHODS, OCCLUSION_GRID, explain, layers
from cxrlib.models import build_model, freeze, leaves

CLASSES = ("normal", "bacterial", "viral")
SIZES = {"inception_resnet_v2": 139, "efficientnet_b7": 96}
SLOW = ("inception_resnet_v2", "efficientnet_b7", "resnet34", "resnet50")
GRADIENT_METHODS = ["grad-cam", "grad-cam++", "layer-cam"]


def settled(name, **options):
    """A network with random weights whose batch norms know their statistics, so that signals do not fade out."""
    options = {"filters": (8, 16)} if name == "CPCC" else options
    model = build_model(name, CLASSES, size=SIZES.get(name, 64), seed=0, **options)
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = 1.0
    if norms:
        with torch.no_grad():
            model.train()(images(8, model.config["size"], seed=5))
    # Untrained output layers give maps of one sign; larger, centered weights give both.
    nn.init.normal_(model.head.output.weight, generator=torch.Generator().manual_seed(1))
    return model.eval()


@pytest.fixture(scope="module")
def network():
    return cache(settled)


@pytest.fixture(scope="module")
def doubled(network):
    """Copies in double precision, where a comparison is of formulas, not of rounding: as it is, and for the oracle."""

    @cache
    def pair(name):
        model = copy.deepcopy(network(name)).double()
        return model, out_of_place(model)

    return pair


def images(count=3, size=64, seed=0):
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(seed))


def squash(maps):
    """Each map to [0, 1]."""
    low, high = maps.min((-2, -1), keepdims=True), maps.max((-2, -1), keepdims=True)
    return (maps - low) / (high - low + 1e-7)


def out_of_place(model):
    """The oracle reads activations after in-place layers have changed them; this copy has none."""
    model = copy.deepcopy(model)
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    return model


def oracle(kind, model, x, layer, targets):
    """The maps of pytorch-grad-cam, one target per image, before their resizing; ``model`` has no in-place layers."""
    grad_cam = pytest.importorskip("pytorch_grad_cam")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    module = model.body if layer is None else model.body.get_submodule(layer)
    found = []
    with getattr(grad_cam, kind)(model, [module]) as cam:
        inner = cam.get_cam_image
        cam.get_cam_image = lambda *args, **kwargs: found.append(inner(*args, **kwargs)) or found[0]
        cam(x.clone(), [ClassifierOutputTarget(target) for target in targets])
    return found[0]


# ---- agreement with pytorch-grad-cam

CASES = [
    ("cnn5", None), ("cnn5", "relu3"), ("cnn5", "relu2"), ("cnn5", "pool1"), ("CPCC", None),
    ("CPCC", "relu1"), ("resnet18", None), ("resnet18", "layer3"), ("resnet18", "layer4.1.conv2"),
    ("resnet18", "layer1.0.conv1"), ("efficientnet_b0", None), ("efficientnet_b0", "3"),
    ("efficientnet_lite0", None), ("efficientnet_lite0", "blocks.4"),
    ("resnet34", None), ("resnet34", "layer2"), ("resnet50", None),
    ("resnet50", "layer3.1.conv2"), ("efficientnet_b7", None), ("efficientnet_b7", "5"),
    ("inception_resnet_v2", None), ("inception_resnet_v2", "mixed_6a"),
]  # fmt: skip
CASES = [pytest.param(*case, marks=pytest.mark.slow if case[0] in SLOW else ()) for case in CASES]


@pytest.mark.parametrize("name, layer", CASES)
@pytest.mark.parametrize(
    "method, kind", [("grad-cam", "GradCAM"), ("grad-cam++", "GradCAMPlusPlus"), ("layer-cam", "LayerCAM")]
)
def test_agrees_with_pytorch_grad_cam(name, layer, method, kind, doubled):
    model, plain = doubled(name)
    x = images(2, model.config["size"]).double()
    ours = explain(model, x, layer, method=method, relu=False)
    assert ours.dtype == np.float32 and ours.shape[:2] == (2, 3)
    theirs, ours = oracle(kind, plain, x, layer, (0, 2)), ours[[0, 1], [0, 2]]
    assert ours.shape == theirs.shape
    for mine, other in zip(ours, theirs, strict=True):
        assert np.ptp(other) > 0
        assert np.abs(mine - other).max() < 1e-4 * np.abs(other).max(), "raw values"
    both = squash(np.maximum(ours, 0)), squash(np.maximum(theirs, 0))
    assert np.abs(both[0] - both[1]).max() < 1e-4


@pytest.mark.parametrize("name, layer", [("CPCC", "relu2"), ("resnet18", "layer2")])
def test_score_cam_agrees_with_pytorch_grad_cam(name, layer, network):
    model = network(name)
    x = images(1)
    ours = explain(model, x, layer, method="score-cam", relu=False)
    for target in (0, 2):
        theirs = oracle("ScoreCAM", out_of_place(model), x, layer, [target])
        assert np.allclose(squash(ours[:, target]), squash(theirs), atol=1e-4)


@pytest.mark.parametrize("name, layer", [("cnn5", "relu2"), ("resnet18", "layer3")])
def test_eigen_cam_agrees_with_pytorch_grad_cam(name, layer, network):
    projections = pytest.importorskip("pytorch_grad_cam.utils.svd_on_activations")
    model = network(name)
    found = []
    plain = out_of_place(model)
    plain.body.get_submodule(layer).register_forward_hook(lambda m, i, o: found.append(o.detach().numpy()))
    plain(images())
    theirs = projections.get_2d_projection_with_sign_correction(found[0])
    ours = explain(model, images(), layer, 0, method="eigen-cam", relu=False)
    assert np.allclose(squash(ours), squash(theirs), atol=1e-4)


# ---- agreement with the definition


@pytest.mark.parametrize("options", [{}, {"head_dropout": 0.5}, {"head_batchnorm": True, "head_dropout": 0.2}])
def test_closed_form_is_grad_cam(options):
    model = settled("resnet18", **options)
    if options.get("head_batchnorm"):
        nn.init.uniform_(model.head.norm.weight, -1, 1)
        model.head.norm.running_var.uniform_(0.5, 2)
    x = images()
    maps = model.body(model.input(x)).detach().requires_grad_()
    for k, logit in enumerate(model.head(maps).sum(0)):
        (gradient,) = torch.autograd.grad(logit, maps, retain_graph=True)
        expected = (gradient.mean((2, 3), keepdim=True) * maps).sum(1).detach().numpy()
        for layer in (None, "layer4", "layer4.1"):
            assert np.allclose(explain(model, x, layer, k, relu=False), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("layer", ["layer4.1.bn2", "layer2.0.downsample.1", "bn1", "layer3.0.relu"])
def test_layers_that_others_change_in_place(layer, network):
    # The block adds to the output of bn2 in place, and relu works in place; the map must not see that.
    model = network("resnet18")
    x = images(1)
    plain = out_of_place(model)
    found = []

    def keep(module, inputs, output):
        found.append(output)
        return output.clone()

    plain.body.get_submodule(layer).register_forward_hook(keep)
    logit = plain(x)[0, 1]
    (gradient,) = torch.autograd.grad(logit, found[-1])
    expected = (gradient.mean((2, 3), keepdim=True) * found[-1]).sum(1).detach().numpy()
    got = explain(model, x, layer, 1, relu=False)
    assert np.allclose(got, expected, atol=1e-4 * np.abs(expected).max())


def test_closed_form_needs_no_gradient_and_no_backward(network, monkeypatch):
    monkeypatch.setattr(torch.autograd, "grad", lambda *a, **k: pytest.fail("differentiated"))
    assert explain(network("resnet18"), images()).shape == (3, 3, 2, 2)


def test_a_hidden_layer_in_the_head_is_differentiated():
    model = settled("resnet18", head_hidden=16)
    x = images(2)
    theirs = oracle("GradCAM", out_of_place(model), x, None, (1, 1))
    assert np.allclose(explain(model, x, target=1, relu=False), theirs, rtol=1e-3, atol=1e-5)


def test_grad_cam_of_a_global_average_pooling_network_adds_up_to_the_logit(network):
    # The mean logit is the sum of the map plus the bias: what makes the map an account of the decision.
    model = network("CPCC")
    x = images()
    maps = explain(model, x, relu=False)
    with torch.no_grad():
        logits = (model(x) - model.head.output.bias).numpy()
    assert np.allclose(maps.sum((2, 3)), logits, atol=1e-4)


def test_only_the_part_behind_the_layer_is_differentiated(network):
    model = copy.deepcopy(network("resnet18"))
    seen = {}
    for name in ("layer1", "layer2", "layer3.0", "layer4"):
        part = model.body.get_submodule(name)
        part.register_forward_hook(lambda m, i, o, name=name: seen.update({name: o.requires_grad}))
    explain(model, images(), "layer3")
    assert seen == {"layer1": False, "layer2": False, "layer3.0": False, "layer4": True}


def bright_square(size=64):
    """A network that sees one thing only: brightness. Class 1 likes it, class 0 does not."""
    model = build_model("C", ("dark", "bright"), size=size, filters=1)
    with torch.no_grad():
        model.body.conv1.weight.zero_()[0, 0, 1, 1] = 1
        model.body.conv1.bias.fill_(2)  # keeps black above zero: nothing is lost in the ReLU
        model.head.output.weight.copy_(torch.tensor([[-1.0], [1.0]]))
    x = torch.zeros(1, 1, size, size)
    x[:, :, 8:20, 40:56] = 1
    return model, x


@pytest.mark.parametrize("method", METHODS)
def test_a_square_that_decides_is_found_by_every_method(method):
    model, x = bright_square()
    maps = explain(model, x, target="bright", method=method, relu=False)[0]
    row, column = np.unravel_index(maps.argmax(), maps.shape)
    scale = 64 / len(maps)
    assert 8 <= (row + 0.5) * scale < 20 and 40 <= (column + 0.5) * scale < 56


def test_occlusion_measures_the_fall_of_the_logit():
    model, x = bright_square(56)  # cells of 4 px, patches of 8 px
    maps = explain(model, x, method="occlusion", relu=False)
    assert maps.shape == (1, 2, OCCLUSION_GRID, OCCLUSION_GRID)
    hidden = x.clone()
    hidden[:, :, 10:18, 42:50] = x.mean()  # around the cell 12..16, 44..48
    with torch.no_grad():
        fall = (model(x) - model(hidden))[0]
    assert np.allclose(maps[0, :, 3, 11], fall.numpy(), atol=1e-5)
    assert np.allclose(maps[0, 0], -maps[0, 1], atol=1e-5), "the two logits are opposite here"
    assert abs(maps[0, 1, 10, 2]) < 0.1 * fall[1], "black on black changes little"


# ---- targets, images, batches


def test_targets_by_index_name_and_image(network):
    model, x = network("cnn5"), images()
    every = explain(model, x, relu=False)
    assert every.shape == (3, 3, 8, 8)
    assert np.allclose(explain(model, x, target=1, relu=False), every[:, 1], atol=1e-6)
    assert np.allclose(explain(model, x, target="viral", relu=False), every[:, 2], atol=1e-6)
    for mixed in ([2, 0, 1], np.array([2, 0, 1]), torch.tensor([2, 0, 1]), ["viral", 0, "bacterial"]):
        got = explain(model, x, target=mixed, relu=False)
        assert np.allclose(got, every[range(3), [2, 0, 1]], atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_one_class_is_the_same_as_that_class_among_all(method, network):
    model, x = network("CPCC"), images(2)
    every = explain(model, x, method=method, relu=False)
    assert every.shape[:2] == (2, 3)
    one = explain(model, x, target=[1, 2], method=method, relu=False)
    assert np.allclose(one, every[[0, 1], [1, 2]], atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_batches_do_not_matter(method, network):
    slow = method in ("score-cam", "occlusion")
    model, x = network("CPCC" if slow else "resnet18"), images(3)
    layer = None if slow else "layer2"
    whole = explain(model, x, layer, 0, method, relu=False)
    parts = explain(model, x, layer, 0, method, 2, relu=False)
    assert np.allclose(whole, parts, atol=1e-4 * np.abs(whole).max())


def test_relu_cuts_what_speaks_against(network):
    model, x = network("resnet18"), images()
    raw, cut = explain(model, x, "layer2", relu=False), explain(model, x, "layer2")
    assert raw.min() < 0 and np.array_equal(cut, np.maximum(raw, 0))


def test_kinds_of_images(network):
    model = network("cnn5")
    bytes_ = (images() * 255).round().to(torch.uint8)
    expected = explain(model, bytes_.float() / 255)
    for kind in (bytes_, bytes_.numpy(), bytes_[:, 0].numpy(), bytes_.numpy().astype(np.float32) / 255):
        assert np.allclose(explain(model, kind), expected, atol=1e-5)


def test_a_data_set_is_read_batch_by_batch(network):
    from cxrlib.data import CxrDataset

    pixels = (images(5) * 255).to(torch.uint8).numpy()
    data = CxrDataset(pixels, np.arange(5) % 3, CLASSES, np.array(list("abcde")))
    assert np.allclose(explain(network("cnn5"), data, batch_size=2), explain(network("cnn5"), pixels), atol=1e-6)
    part = explain(network("cnn5"), data[[4, 1]], target=0)
    assert np.allclose(part, explain(network("cnn5"), pixels[[4, 1]], target=0), atol=1e-6)


# ---- every layer of every network


@pytest.mark.parametrize("name", ["cnn5", "resnet18", "efficientnet_b0", "efficientnet_lite0"])
def test_every_listed_layer_can_be_mapped(name, network):
    model = network(name)
    names = layers(model)
    assert len(names) == len(set(names)) and len(names) >= 9
    few = names if len(names) < 70 else names[:: len(names) // 40]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for layer in few:
            maps = explain(model, images(1, model.config["size"]), layer, 0)
            assert maps.ndim == 3 and maps[0].size > 1, layer


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_every_listed_layer_of_large_networks(name, network):
    test_every_listed_layer_can_be_mapped(name, network)


def test_names_with_and_without_body(network):
    model, x = network("resnet18"), images()
    assert np.array_equal(explain(model, x, "layer3"), explain(model, x, "body.layer3"))
    assert np.array_equal(explain(model, x, "body"), explain(model, x))


# ---- nothing is left behind


def state(model):
    return {
        "mode": [m.training for m in model.modules()],
        "hooks": [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()],
        "trainable": [p.requires_grad for p in model.parameters()],
        "values": [v.clone() for v in model.state_dict().values()],
    }


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_it_was(method, fails, network):
    slow = method in ("score-cam", "occlusion")
    model = freeze(copy.deepcopy(network("CPCC" if slow else "resnet18")), 4).train()
    model.head.eval()  # a mixed state that must come back as it is
    model.body[-1].register_forward_hook(lambda *args: None)
    model.body.register_forward_pre_hook(lambda _, x: (x[0] * float("nan"),) if fails else None)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    before = state(model)
    layer = None if slow else "layer3"
    x = images(2)
    if fails:
        with pytest.raises(ValueError, match="NaN"):
            explain(model, x, layer, method=method)
    else:
        explain(model, x, layer, method=method)
    after = state(model)
    assert all(torch.equal(a, b) for a, b in zip(before.pop("values"), after.pop("values"), strict=True))
    assert before == after
    assert all(torch.equal(p.grad, torch.ones_like(p)) for p in model.parameters())
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("method", GRADIENT_METHODS)
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_works_frozen_and_in_every_gradient_mode(method, context, network):
    model = freeze(copy.deepcopy(network("resnet18")), "all")
    for p in model.parameters():
        p.requires_grad_(False)
    expected = explain(network("resnet18"), images(), "layer3", method=method)
    with context():
        x = images()
        got = explain(model, x, "layer3", method=method)
    assert np.allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("layer", [None, "layer2"])
def test_bfloat16(layer, network):
    model, x = network("resnet18"), images()
    exact = explain(model, x, layer, relu=False)
    mixed = explain(model, x, layer, relu=False, precision="bf16")
    half = explain(copy.deepcopy(model).bfloat16(), x, layer, relu=False)
    for got in (mixed, half):
        assert got.dtype == np.float32
        assert np.corrcoef(got.ravel(), exact.ravel())[0, 1] > 0.9


def test_maps_do_not_depend_on_what_the_machine_is_fast_at(network, monkeypatch):
    model, x = network("resnet18"), images()
    exact = explain(model, x, "layer2", relu=False)
    monkeypatch.setattr("cxrlib.device.fast_bf16", lambda device: True)
    with torch.autocast("cpu", torch.bfloat16):
        assert np.array_equal(explain(model, x, "layer2", relu=False), exact)
    fast = explain(model, x, "layer2", relu=False, precision="auto")
    assert 0.9 < np.corrcoef(fast.ravel(), exact.ravel())[0, 1] < 1


# ---- bad input


@pytest.mark.parametrize(
    "options, message",
    [
        ({"layer": "layer9"}, "layer: the body of 'resnet18' has no 'layer9'; .*Did you mean 'layer.'"),
        ({"layer": "head.output"}, "layer: the body of 'resnet18' has no 'head.output'"),
        ({"layer": 4}, "layer: .* has no 4; give a name"),
        ({"method": "gradcam"}, "method: give one of grad-cam, .*got 'gradcam'. Did you mean 'grad-cam'"),
        ({"method": "occlusion", "layer": "layer4"}, "leave layer out"),
        ({"target": 3}, "target: give the index or the name of a class .0 'normal', 1 'bacterial', 2 'viral'., got 3"),
        ({"target": -1}, "target: .*got -1"),
        ({"target": "Viral"}, "target: .*got 'Viral'. Did you mean 'viral'"),
        ({"target": 1.5}, "target: .*got 1.5"),
        ({"target": True}, "target: .*got True"),
        ({"target": [0, 1]}, "got 2 for 3 images"),
        ({"batch_size": 0}, "batch_size: give"),
    ],
)
def test_wrong_arguments(options, message, network):
    with pytest.raises(ValueError, match=message):
        explain(network("resnet18"), images(), **options)


@pytest.mark.parametrize(
    "x, message",
    [
        (torch.zeros(2, 3, 64, 64), r"images: give a CxrDataset or an array \(N, 1, H, W\)"),
        (torch.zeros(64, 64), "images: give"),
        (np.zeros((2, 1, 64, 64), np.int64), "uint8"),
        (torch.zeros(0, 1, 64, 64), "there are none"),
        (torch.full((1, 1, 64, 64), 200.0), "from 200 to 200; convert to uint8, or divide by 255"),
        (np.full((1, 64, 64), -1.5), "from -1.5"),
        (torch.zeros(1, 1, 16, 16), "at least 32 x 32"),
    ],
)
def test_wrong_images(x, message, network):
    with pytest.raises(ValueError, match=message):
        explain(network("resnet18"), x)


@pytest.mark.parametrize("model", [None, nn.Linear(2, 2), "resnet18"])
def test_wrong_models(model):
    for call in (lambda: explain(model, images()), lambda: layers(model)):
        with pytest.raises(ValueError, match="model: give a network made by build_model"):
            call()


def test_layers_without_spatial_maps(network):
    squeeze = next(n for n, m in network("efficientnet_b0").body.named_modules() if n.endswith("avgpool"))
    assert squeeze not in layers(network("efficientnet_b0"))
    with pytest.raises(ValueError, match=f"layer: '{squeeze}' gives maps of a single pixel"):
        explain(network("efficientnet_b0"), images(), squeeze)
    with pytest.raises(ValueError, match="single pixel for images of 32 x 32 px; choose an earlier layer, or larger"):
        explain(network("resnet18"), images(size=32))


def test_a_layer_that_is_not_used(network):
    model = copy.deepcopy(network("cnn5"))
    model.body.conv3.spare = nn.Conv2d(1, 1, 1)
    assert "conv3.spare" not in layers(model)
    for method in ("grad-cam", "eigen-cam"):
        with pytest.raises(ValueError, match="'conv3.spare' is not used"):
            explain(model, images(), "conv3.spare", method=method)


@pytest.mark.parametrize("layer", [None, "layer2"])
def test_damaged_weights_and_images_are_named(layer, network):
    x = images(5)
    x[3, 0, 5, 5] = float("nan")
    with pytest.raises(ValueError, match="images: .*got NaN among them"):
        explain(network("resnet18"), x, layer, batch_size=2)
    broken = copy.deepcopy(network("resnet18"))
    broken.head.output.weight.data[0] = float("nan")
    with pytest.raises(ValueError, match="model: the maps hold NaN"):
        explain(broken, images(), layer)


def test_a_blank_map_is_never_silent():
    model, x = bright_square()
    with pytest.warns(UserWarning, match="1 of 1 maps are zero everywhere.*relu=False"):
        maps = explain(model, x, target="dark")
    assert not maps.any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explain(model, x)
        explain(model, x, target="dark", relu=False)
        explain(model, x, target="bright")


def test_layers_are_listed_in_order(network):
    names = layers(network("resnet18"))
    assert names[:3] == ["conv1", "bn1", "relu"] and names.index("layer1") < names.index("layer4.1.conv2")
    assert set(names) >= {n for n in leaves(network("resnet18").body) if "conv" in n}
    assert all(not m._forward_hooks for m in network("resnet18").modules())

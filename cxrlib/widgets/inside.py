"""LookInside: step through a small network that lives in the page, down to the arithmetic of one number."""

from __future__ import annotations

from collections.abc import Sequence

from ..data import CxrDataset
from ..inputs import network
from ..models import CxrNet
from .base import PageWidget, kit, t
from .encode import color_tables, described, examples

LARGEST = 7  # pixels: a larger kernel's table does not fit a phone


class LookInside(PageWidget):
    """A network, layer by layer: its feature maps, and what one value of them is the sum of.

    The network runs in the page itself, without a kernel. The page holds pictures and weights: mind this when they show
    patients.

    Parameters
    ----------
    model : CxrNet
        Written as a string of layers, such as ``"CPCPCPFDD"``, with kernels of at most 7 x 7 pixels.
    data : CxrDataset
        Where the pictures are from, at the size of the network.
    images : sequence of int, optional
        Positions in ``data``, at most 12. Default: the first six.
    """

    runs_network = True
    _esm, _css = kit("live", "arithmetic", "inside")
    summary = t("Look inside: a network, layer by layer, and the arithmetic of one of its numbers.")

    def __init__(self, model: CxrNet, data: CxrDataset, images: Sequence[int] | None = None) -> None:
        network("model", model, findings=False)
        if "kernel" not in model.config:
            what = "written as a string of layers, such as 'CPCPCPFDD'"
            raise ValueError(f"model: give a network {what}; {model.name!r} is none")
        if model.config["kernel"] > LARGEST:
            kernel = model.config["kernel"]
            raise ValueError(f"model: give one with kernels of at most {LARGEST} x {LARGEST} pixels, got {kernel}")
        images, (live,) = examples(data, images), described({model.name: model}, data)
        colors = {name: color_tables()[name] for name in ("magma", "RdBu_r")}
        super().__init__(page={"network": live["net"], "images": images, "colors": colors})

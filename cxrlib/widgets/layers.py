"""LayerBuilder: write a layer string, see every tensor's shape and every layer's parameters."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ..models.layers import check_layers
from ..validate import several, text, whole
from .base import PageWidget, kit, t


class LayerBuilder(PageWidget):
    """A network from a word, with the rules of ``build_model`` (convolutions with padding "same").

    Parameters
    ----------
    layers, examples : str and sequence of str
        The word to start with, such as "CPCPCPFDD", and words to try, as buttons.
    size, kernel : int
        Height and width of the images and of the convolutions' kernels, in pixels.
    filters : sequence of int
        Feature maps of the first, second, ... block of convolutions, as ``build_model`` takes them.
    hidden, outputs : int
        Width of the dense layers, and number of classes.
    """

    _esm, _css = kit("layers")
    summary = t("Layer builder: shapes and parameters of a network that you write as a word.")

    def __init__(
        self, layers: str = "CPCPCPFDD", *, size: int = 128, filters: Sequence[int] = (32, 64, 128), hidden: int = 128,
        outputs: int = 2, kernel: int = 3, examples: Sequence[str] = (),
    ) -> None:  # fmt: skip
        examples = several("examples", examples, text, least=0)
        for word in (text("layers", layers), *examples):
            check_layers(word)
        widths = {"size": size, "hidden": hidden, "outputs": outputs, "kernel": kernel}
        numbers = {name: whole(name, value, 1) for name, value in widths.items()}
        filters = several("filters", filters, partial(whole, low=1))
        super().__init__(page={"layers": layers, "filters": filters, "examples": examples, **numbers})

"""FoolIt: change an X-ray by hand, and watch networks that live in the page answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..data import CxrDataset
from ..models import CxrNet
from ..validate import one_of
from .base import PageWidget, kit, t
from .encode import color_tables, described, examples


class FoolIt(PageWidget):
    """A picture with a marker to drag, a brush and a cover, and the answers of networks while the hand moves.

    The networks run in the page itself, without a kernel: probability and class activation map (Grad-CAM, end of the
    body) follow each change. The page holds pictures and weights: mind this when they show patients.

    Parameters
    ----------
    networks : mapping of str to CxrNet
        One or two networks of the same classes and size, by the names that the page shows.
    data : CxrDataset
        Where the pictures are from, at the size of the networks.
    images : sequence of int, optional
        Positions in ``data``, at most 12. Default: the first six.
    target : str, optional
        The class whose probability is shown; default: the last one.
    """

    runs_network = True
    _esm, _css = kit("maps", "live", "changes", "gauge", "fool")
    summary = t("Fool it: an X-ray to change by hand, and networks that answer at once.")

    def __init__(
        self, networks: Mapping[str, CxrNet], data: CxrDataset, images: Sequence[int] | None = None,
        target: str | None = None,
    ) -> None:  # fmt: skip
        images = examples(data, images)
        super().__init__(page={
            "images": images, "networks": described(networks, data), "size": data.size,
            "classes": list(data.classes), "colors": color_tables()["cividis"],
            "target": data.classes.index(one_of("target", target or data.classes[-1], data.classes)),
        })  # fmt: skip

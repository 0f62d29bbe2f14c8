"""FoolIt: change an X-ray by hand, and watch networks that live in the page answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..data import CxrDataset
from ..live import live_network
from ..models import CxrNet
from ..validate import one_of, short, whole
from .base import LiveWidget, kit, t
from .encode import color_tables, picture

MOST = 12  # pictures on the page


class FoolIt(LiveWidget):
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

    _esm, _css = kit("maps", "live", "changes", "fool")
    summary = t("Fool it: an X-ray to change by hand, and networks that answer at once.")

    def __init__(
        self, networks: Mapping[str, CxrNet], data: CxrDataset, images: Sequence[int] | None = None,
        target: str | None = None,
    ) -> None:  # fmt: skip
        if not isinstance(networks, Mapping) or not 1 <= len(networks) <= 2:
            raise ValueError(f"networks: give one or two, by name, got {short(networks)}")
        if not isinstance(data, CxrDataset) or not len(data):
            raise ValueError(f"data: give a CxrDataset with at least one image, got {short(data)}")
        live = {str(name): live_network(net) for name, net in networks.items()}
        for name, net in live.items():
            if net["classes"] != list(data.classes) or net["size"] != data.size:
                given = f"{len(net['classes'])} classes at {net['size']} px"
                raise ValueError(
                    f"networks: {name!r} has {given}; data are of {', '.join(data.classes)}, {data.size} px"
                )
        rows = range(min(6, len(data))) if images is None else images
        rows = [whole("images: each", row, 0, len(data) - 1) for row in rows]
        if not 1 <= len(rows) <= MOST:
            raise ValueError(f"images: give 1 to {MOST} positions, got {len(rows)}")
        part = data[rows]
        super().__init__(page={
            "networks": [{"name": name, "net": net} for name, net in live.items()], "size": data.size,
            "classes": list(data.classes), "colors": color_tables()["cividis"],
            "target": data.classes.index(one_of("target", target or data.classes[-1], data.classes)),
            "images": [
                {"png": picture(np.asarray(image[0])), "label": int(label)}
                for image, label in zip(part.images, part.labels, strict=True)
            ],
        })  # fmt: skip

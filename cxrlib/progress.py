"""Progress bars: one place that decides whether they are shown."""

from __future__ import annotations

import os

from tqdm.auto import tqdm


def bar(*args: object, show: bool = True, **kwargs: object) -> tqdm:
    """Make a tqdm bar, hidden when ``show`` is false or the environment variable TQDM_DISABLE is set.

    tqdm itself reads that variable only where ``disable`` is not given.
    """
    hidden = not show or os.environ.get("TQDM_DISABLE", "0").lower() not in ("", "0", "false")
    return tqdm(*args, disable=hidden, **kwargs)

"""write_lungs: lung masks and contact sheets for a folder of images."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from PIL import Image

from cxrlib import plot
from cxrlib._lungs import SMALL, SMALLEST, find_lungs
from cxrlib.data.dataset import CxrDataset
from cxrlib.data.decode import read_picture
from cxrlib.data.layout import File, scan
from cxrlib.data.pixels import BadImage
from cxrlib.files import atomic_path
from cxrlib.progress import bar

_SIDE = 256  # at which images are read; masks are enlarged to the image in the file
_ON_SHEET = 48


def write_lungs(
    path: str | Path, out: str | Path, *, weights: str | Path | None = None, progress: bool = True
) -> pd.DataFrame:
    """Write the lung mask of every image below a folder, and contact sheets with their outlines.

    Parameters
    ----------
    path : path
        Folder of images, DICOM files too, in any order of subfolders.
    out : path
        Folder outside of ``path``: ``masks/`` gets one PNG per image, of the image's own size and with its name;
        ``sheet-001.png`` and so on show the images; ``lungs.csv`` is the table.
    weights
        As for ``lungs``.

    Returns
    -------
    DataFrame
        One row per file: file, width, height, area (of the lungs, as a fraction of the image; NaN where none were
        found), reason (why none were found, or why the file cannot be read; "" where they were).

    Raises
    ------
    ValueError
        No images, an ``out`` inside of ``path``, or two images that differ only in their extensions.
    FileNotFoundError
        ``path`` is not a folder.
    """
    path, out = Path(path), Path(out)
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is not a folder; give one that holds images")
    if out.resolve().is_relative_to(path.resolve()):
        raise ValueError(f"out: give a folder outside of {path}, or the next run would read these masks; got {out}")
    files, _, skipped = scan(path)
    if not files:
        raise ValueError(f"{path} holds no images; give a folder of files such as .png, .jpeg or .dcm")
    names = [PurePosixPath(file.rel).with_suffix(".png").as_posix() for file in files]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{path}: two images would share the mask {twice}; rename one of them")
    rows = [(rel, 0, 0, np.nan, reason) for rel, reason in skipped]
    with bar(total=len(files), desc="lungs", unit="image", show=progress) as shown:
        for page, start in enumerate(range(0, len(files), _ON_SHEET), 1):
            here = list(_read(path, files[start : start + _ON_SHEET], rows))
            shown.update(len(files[start : start + _ON_SHEET]))
            if not here:
                continue
            read, pictures = zip(*here, strict=True)
            images = np.stack([picture.pixels for picture in pictures])[:, None]
            masks, reasons = find_lungs(images, weights=weights)
            for k, picture in enumerate(pictures):
                if min(picture.width, picture.height) < SMALLEST:
                    masks[k], reasons[k] = False, SMALL
            for file, picture, mask, reason in zip(read, pictures, masks, reasons, strict=True):
                _write_mask(out / "masks" / PurePosixPath(file.rel).with_suffix(".png"), mask, picture[1:3])
                area = np.nan if reason else float(mask.mean())
                rows.append((file.rel, picture.width, picture.height, area, reason))
            titles = [reason or PurePosixPath(file.rel).name[-20:] for file, reason in zip(read, reasons, strict=True)]
            with atomic_path(out / f"sheet-{page:03d}.png") as temporary:
                temporary.write_bytes(_sheet(images, masks, titles).to_png())
    table = pd.DataFrame(sorted(rows), columns=["file", "width", "height", "area", "reason"])
    with atomic_path(out / "lungs.csv") as temporary:
        table.to_csv(temporary, index=False)
    return table


def _read(root: Path, files: list[File], rows: list) -> Iterator[tuple]:
    """Yield the files that can be read, each with its picture; the others become rows."""
    for file in files:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield file, read_picture((root / file.rel).read_bytes(), _SIDE)
        except (BadImage, OSError) as error:
            rows.append((file.rel, 0, 0, np.nan, f"cannot be read: {error}"))


def _write_mask(path: Path, mask: np.ndarray, size: tuple[int, int]) -> None:
    """Write a mask as a PNG of 0 and 255, of a width and height."""
    large = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
    with atomic_path(path) as temporary:
        large.point(lambda value: 255 * (value > 127)).save(temporary, "PNG")


def _sheet(images: np.ndarray, masks: np.ndarray, titles: list[str]) -> plot.Figure:
    data = CxrDataset(images, np.zeros(len(images), int), ("X-ray",), titles, masks=masks)
    return plot.xrays(data, titles, columns=8, outlines=True, width=13)

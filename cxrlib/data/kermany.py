"""Read the file names of the Kermany chest X-ray set (Kaggle "Chest X-Ray Images (Pneumonia)").

The names carry the only patient information of that set. A person number alone is not a patient: 979 numbers
occur with both `bacteria` and `virus`, and `IM` and `NORMAL2-IM` share 328 numbers. The patient key is
therefore (type or prefix, number).

Source: Kermany, Goldbaum, Cai et al., Cell 172(5), 2018; Mendeley Data, doi 10.17632/rscbjbr9sj.
"""

import re
from pathlib import PurePosixPath
from typing import NamedTuple

_PERSON = re.compile(r"person(\d+)_(bacteria|virus)_(\d+)(?:_\d+)?", re.IGNORECASE)
_NORMAL = re.compile(r"(NORMAL2-)?IM-(\d+)-(\d+)(?:-\d+)?", re.IGNORECASE)
# The names of later releases on Mendeley Data, for example BACTERIA-1008087-0001.jpeg.
_MENDELEY = re.compile(r"(BACTERIA|VIRUS|NORMAL)-(\d+)-(\d+)", re.IGNORECASE)

_SUBTYPE = {"bacteria": "bacterial", "virus": "viral", "normal": "normal"}


class KermanyName(NamedTuple):
    """What a file name says: series (IM, bacteria ...), patient, naive key (number only) and subtype."""

    series: str
    patient: str
    key_number: str
    subtype: str


def parse_name(file: str) -> KermanyName | None:
    """Patient, naive key and subtype of one file name, or None when it is not a Kermany name.

    >>> parse_name("person78_bacteria_378.jpeg")
    KermanyName(series='bacteria', patient='bacteria-78', key_number='person-78', subtype='bacterial')
    >>> parse_name("NORMAL2-IM-0381-0001.jpeg").patient
    'NORMAL2-IM-381'
    """
    stem = PurePosixPath(file).stem
    if m := _PERSON.fullmatch(stem):
        kind, number = m[2].lower(), int(m[1])
        return KermanyName(kind, f"{kind}-{number}", f"person-{number}", _SUBTYPE[kind])
    if m := _NORMAL.fullmatch(stem):
        series, number = (m[1] or "").upper() + "IM", int(m[2])
        return KermanyName(series, f"{series}-{number}", f"IM-{number}", "normal")
    if m := _MENDELEY.fullmatch(stem):
        kind, number = m[1].lower(), int(m[2])
        return KermanyName(kind, f"{kind}-{number}", f"{kind}-{number}", _SUBTYPE[kind])
    return None

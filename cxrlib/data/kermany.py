"""Read the file names of the Kermany chest X-ray set (Kaggle "Chest X-Ray Images (Pneumonia)").

The names carry the only patient information of that set. A person number alone is not a patient: 979 numbers
occur with both `bacteria` and `virus`, and `IM` and `NORMAL2-IM` share 328 numbers. The patient key is
therefore (type or prefix, number).

Source: Kermany, Goldbaum, Cai et al., Cell 172(5), 2018; Mendeley Data, doi 10.17632/rscbjbr9sj.
"""

import re
from pathlib import PurePosixPath
from typing import NamedTuple

#: What stands before the number in the naive key ("": the series) -> form of the name without its extension.
_NAMES = {
    "person": re.compile(r"person(?P<number>\d+)_(?P<kind>bacteria|virus)_\d+(?:_\d+)?", re.IGNORECASE),
    "IM": re.compile(r"(?P<kind>(?:NORMAL2-)?IM)-(?P<number>\d+)-\d+(?:-\d+)?", re.IGNORECASE),
    # Later releases on Mendeley Data, for example BACTERIA-1008087-0001.jpeg.
    "": re.compile(r"(?P<kind>BACTERIA|VIRUS|NORMAL)-(?P<number>\d+)-\d+", re.IGNORECASE),
}
_SUBTYPE = {"bacteria": "bacterial", "virus": "viral"}


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
    for prefix, form in _NAMES.items():
        if m := form.fullmatch(PurePosixPath(file).stem):
            number, series = int(m["number"]), m["kind"].upper() if prefix == "IM" else m["kind"].lower()
            key = f"{prefix or series}-{number}"
            return KermanyName(series, f"{series}-{number}", key, _SUBTYPE.get(series, "normal"))
    return None

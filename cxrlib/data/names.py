"""Read patient and class from the file names of well-known public sets; what a name does not tell stays unknown.

In the Kermany set (Kaggle "Chest X-Ray Images (Pneumonia)"; Kermany, Goldbaum, Cai et al., Cell 172(5), 2018; Mendeley
Data, doi 10.17632/rscbjbr9sj) only the names tell the patients. A person number alone is not a patient: 979 numbers
occur with both `bacteria` and `virus`, and `IM` and `NORMAL2-IM` share 328 numbers. So the patient is (type or prefix,
number).
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import NamedTuple

#: What browsers and file managers add to the name of a copy: "a (1)", "a - Kopie", "a copy 2", "a~2", "Copy of a".
_WORD = "(?:copy|kopie|kopia|kopija|copie|copia|cópia|копия|副本)"
_COPY = re.compile(
    rf"^{_WORD} (?:of|von|de|di) |(?: ?\(\d+\)| [-–—] {_WORD}| ?\({_WORD}\)|[ _]{_WORD}(?: \d+)?|~\d)+$", re.IGNORECASE
)
#: The Kermany set: what stands before the number in the naive key ("": the series) -> the name without its extension.
_KERMANY = {
    "person": re.compile(r"person(?P<number>\d+)_(?P<series>bacteria|virus)_\d+(?:_\d+)?", re.IGNORECASE),
    "IM": re.compile(r"(?P<series>(?:NORMAL2-)?IM)-(?P<number>\d+)-\d+(?:-\d+)?", re.IGNORECASE),
    # Later releases on Mendeley Data, for example BACTERIA-1008087-0001.jpeg.
    "": re.compile(r"(?P<series>BACTERIA|VIRUS|NORMAL)-(?P<number>\d+)-\d+", re.IGNORECASE),
}
_SUBTYPES = {"bacteria": "bacterial", "virus": "viral"}
#: Other sets: the name without its extension, and what goes before the number of the patient.
_STEMS = (
    # Montgomery and Shenzhen: the last digit tells the class
    (re.compile(r"((?:MCU|CHN)CXR_\d{4})_([01])", re.IGNORECASE), ""),
    (re.compile(r"(000\d{5})_\d{3}"), "NIH-"),  # NIH ChestX-ray14: patient_follow-up
    (re.compile(r"(?:CXR)?(\d+)_(?:\d+_)?IM-\d+-\d+(?:-\d+)*(?:\.dcm)?"), "Indiana-CXR"),
    (re.compile(r"([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})", re.IGNORECASE), "RSNA-"),
)
#: The same for the whole path: CheXpert, MIMIC-CXR, BIMCV and other sets in the form of BIDS.
_PATHS = re.compile(r"(?:^|/)(?:(patient\d{5})[/_]study\d+[/_]|(p\d{8})/s\d{8}[/.]|(sub-[A-Za-z0-9]+)[/_])")


class FileName(NamedTuple):
    """What a file name says; "" for what it does not."""

    patient: str
    label: str = ""  # the class: normal, pneumonia or tuberculosis
    subtype: str = ""  # of the Kermany set: normal, bacterial or viral
    series: str = ""  # its prefix: IM, bacteria ...
    key_number: str = ""  # its naive key of the patient, the number alone
    certain: bool = True  # not RSNA's random UUIDs, which others write, too: a DICOM header goes first


def read_name(file: str) -> FileName | None:
    """Read the path of an image, or give None when it is like no known set's.

    >>> read_name("person78_virus_140 (1).jpeg")[:5]
    ('virus-78', 'pneumonia', 'viral', 'virus', 'person-78')
    >>> read_name("00002658_001.png").patient
    'NIH-2658'
    >>> read_name("x/MCUCXR_0001_1.png")[:2]
    ('MCUCXR_0001', 'tuberculosis')
    """
    stem = _COPY.sub("", PurePosixPath(file).stem)
    for prefix, pattern in _KERMANY.items():
        if m := pattern.fullmatch(stem):
            number, series = int(m["number"]), m["series"].upper() if prefix == "IM" else m["series"].lower()
            subtype = _SUBTYPES.get(series, "normal")
            label = "normal" if subtype == "normal" else "pneumonia"
            return FileName(f"{series}-{number}", label, subtype, series, f"{prefix or series}-{number}")
    for pattern, prefix in _STEMS:
        if m := pattern.fullmatch(stem):
            number = m[1].lower() if prefix else m[1].upper()
            number = str(int(number)) if number.isdecimal() else number
            label = ("normal", "tuberculosis")[int(m[2])] if pattern.groups == 2 else ""
            return FileName(prefix + number, label, certain=prefix != "RSNA-")
    m = _PATHS.search(file)
    return FileName(m[m.lastindex]) if m else None

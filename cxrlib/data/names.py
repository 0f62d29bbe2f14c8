"""Read patient and class from the file names of well-known public sets; what a name does not tell stays unknown."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import NamedTuple

from .kermany import parse_name

#: What browsers and file managers add to the name of a copy: "a (1)", "a - Kopie", "a copy 2", "a~2", "Copy of a".
_WORD = "(?:copy|kopie|kopia|kopija|copie|copia|cópia|копия|副本)"
_COPY = re.compile(
    rf"^{_WORD} (?:of|von|de|di) |(?: ?\(\d+\)| [-–—] {_WORD}| ?\({_WORD}\)|[ _]{_WORD}(?: \d+)?|~\d)+$", re.IGNORECASE
)
#: Patterns for the name without its extension: (pattern, prefix of the patient).
_STEMS = (
    (
        re.compile(r"((?:MCU|CHN)CXR_\d{4})_([01])", re.IGNORECASE),
        "",
    ),  # Montgomery and Shenzhen: the last digit tells the class
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
    subtype: str = ""  # of the Kermany set: bacterial or viral
    series: str = ""  # its prefix
    key_number: str = ""  # the patient's number alone
    certain: bool = True  # not for RSNA's names, random as other programs write them, too: a DICOM header goes before


def read_name(file: str) -> FileName | None:
    """Read the path of an image, or give None when it is like no known set's.

    >>> read_name("00002658_001.png").patient
    'NIH-2658'
    >>> read_name("x/MCUCXR_0001_1.png")
    FileName(patient='MCUCXR_0001', label='tuberculosis', subtype='', series='', key_number='', certain=True)
    >>> read_name("person78_virus_140 (1).jpeg").patient
    'virus-78'
    """
    stem = _COPY.sub("", PurePosixPath(file).stem)
    if name := parse_name(f"{stem}.jpeg"):
        label = "normal" if name.subtype == "normal" else "pneumonia"
        return FileName(name.patient, label, name.subtype, name.series, name.key_number)
    for pattern, prefix in _STEMS:
        if m := pattern.fullmatch(stem):
            number = m[1].lower() if prefix else m[1].upper()
            number = str(int(number)) if number.isdecimal() else number
            label = ("normal", "tuberculosis")[int(m[2])] if pattern.groups == 2 else ""
            return FileName(prefix + number, label, certain=prefix != "RSNA-")
    if m := _PATHS.search(file):
        return FileName(m[m.lastindex])
    return None

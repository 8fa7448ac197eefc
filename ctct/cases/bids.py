"""Names of the Brain Imaging Data Structure (BIDS): what they say of a scan."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ctct.io.files import case_name

#: The file that makes a folder a BIDS data set.
DESCRIPTION = "dataset_description.json"
#: Folders of a data set that hold no scans in BIDS names.
OTHER_FOLDERS = {"code", "derivatives", "sourcedata", "stimuli"}

_NAME = re.compile(
    r"(?P<subject>sub-[A-Za-z0-9]+)(?:_(?P<session>ses-[A-Za-z0-9]+))?"
    r"(?P<entities>(?:_[A-Za-z]+-[A-Za-z0-9]+)*)_(?P<suffix>[A-Za-z0-9]+)"
)
#: Folders of scans that show no heart.
_OTHER_DATA = {"beh", "dwi", "eeg", "fmap", "ieeg", "meg", "micr", "motion", "mrs", "nirs", "pet"}
_OTHER_SUFFIXES = {"T1w", "T2w", "T2starw", "PDw", "FLAIR", "inplaneT1", "inplaneT2", "angio"}
_LONG_AXIS = re.compile(r"_[a-z]+-(?:lax?|lvot|[234]ch)[0-9]*(?=_)", re.IGNORECASE)


@dataclass(frozen=True)
class BidsName:
    """The parts of a name such as ``sub-01_ses-2_acq-sax_bold``.

    Attributes:
        subject: as in ``sub-01``.
        session: as in ``ses-2``; "" without.
        entities: what follows, as in ``_acq-sax``.
        suffix: the last word.
    """

    subject: str
    session: str
    entities: str
    suffix: str

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """The parts of a name; None where it is none of BIDS.

        >>> BidsName.parse("sub-01_acq-sax_bold")
        BidsName(subject='sub-01', session='', entities='_acq-sax', suffix='bold')
        """
        found = _NAME.fullmatch(name)
        parts = ("subject", "session", "entities", "suffix")
        return cls(*(found[part] or "" for part in parts)) if found else None

    @property
    def patient(self) -> str:
        """Subject and session: a row of the tables."""
        return "_".join(filter(None, (self.subject, self.session)))


def bids_name(path: Path) -> BidsName | None:
    """What the name of a file in a BIDS data set says; None of any other file.

    It lies in the folder of its subject, or in one of a session or a kind of data below.
    """
    name = BidsName.parse(case_name(path))
    is_inside = name and name.subject in [folder.name for folder in path.parents[:3]]
    return name if is_inside else None


def is_of_another_kind(path: Path) -> bool:
    """Whether BIDS says that a scan is no short-axis cine: of the brain, or of a long axis."""
    if not (name := bids_name(path)):
        return False
    is_long = bool(_LONG_AXIS.search(f"{name.entities}_"))
    return is_long or path.parent.name in _OTHER_DATA or name.suffix in _OTHER_SUFFIXES


def participant_of(patient: str) -> str:
    """The participant that a patient of the tables is: ``sub-01`` of ``sub-01_ses-2``.

    >>> participant_of("sub-01_ses-2"), participant_of("P01_ses-2")
    ('sub-01', 'P01_ses-2')
    """
    found = re.match(r"sub-[A-Za-z0-9]+(?=_|$)", patient)
    return found[0] if found else patient

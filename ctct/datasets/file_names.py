"""What file names tell: which files are label maps, of which scans, and of which patients."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from ctct.errors import InputError
from ctct.io.files import case_name

_LABEL_WORDS = frozenset(
    {
        *("gt", "seg", "segm", "segs", "segmentation", "segmentations", "mask", "masks"),
        *("label", "labels", "lbl", "lab", "groundtruth", "ground", "truth", "manual"),
        *("annotation", "annotations", "contour", "contours", "roi", "labelmap", "delineation"),
    }
)
_IMAGE_WORDS = frozenset(
    {
        *("img", "imgs", "image", "images", "im", "scan", "scans", "mri", "mr"),
        *("vol", "vols", "volume", "volumes"),
    }
)
#: What follows the name of a patient: phases, views, sessions, frames.
_QUALIFIER = re.compile(
    r"[_.-](?:(?:lv|rv)?e[ds]|cine|sax?|lax?|[234]ch|[234]d|dia|sys|diastole|systole|rest|stress|"
    r"pre|post|baseline|follow-?up|retest|img|image|scan|mri|000\d|"
    r"(?:frame|t|time|phase|ses|session|visit|run|acq|slice|sl|z|fu|tp|timepoint)[_.-]?\d+)$",
    re.IGNORECASE,
)
_BIDS = re.compile(r"sub-[a-z0-9]+(?=_|$)", re.IGNORECASE)
#: The number or letter of one of several images of a patient, as in P1_0, P1_scan2, P1b.
_IMAGE_NUMBER = re.compile(
    r"(?:[_.-](?:scan|img|image|im|vol|volume|series|study|exam|v|rep|no)?[_.-]?\d+"
    r"|[_.-][a-z]|(?<=\d)[a-z])$",
    re.IGNORECASE,
)
_PERSON_WORD = "p|pat|patient|pt|sub|subj|subject|sbj|case|id|person|volunteer"
#: What names a patient beyond doubt, at the end of a name and at its start.
_PERSON = re.compile(rf"(?:^|[_.-])(?:{_PERSON_WORD})?[_.-]?\d+$", re.IGNORECASE)
_PERSON_FIRST = re.compile(rf"((?:{_PERSON_WORD})[_.-]?\d+)[_.-](.+)", re.IGNORECASE)
#: A name that ends so is that of a group of patients, not of one.
_GROUP = re.compile(
    r"(?:^|[_.-])(?:site|cent(?:er|re)|hospital|clinic|vendor|scanner|cohort|data|dataset|task|"
    r"group|batch|fold|study|train|training|test|val|validation)[_.-]?[a-z0-9]*$",
    re.IGNORECASE,
)


def scan_name(path: Path, root: Path) -> str:
    """The stem of a file; where that says only what the file is, after the names of its folders.

    ``P1/ED_gt.nii.gz`` is ``P1_ED_gt``, and ``images/P1.nii.gz`` is ``P1``.
    """
    name = stem = case_name(path)
    folders = list(path.relative_to(root).parts[:-1])
    while folders and _is_generic(name):
        name = f"{folders.pop()}_{name}"
    return stem if _is_generic(name) else name


def _is_generic(name: str) -> bool:
    """Whether a name tells no patient: words for images and labels, phases, a mere number."""
    words = _words(name)
    rest = [word for word in words if word not in _LABEL_WORDS | _IMAGE_WORDS]
    is_number = "".join(rest).isdigit() and len(rest) < len(words)
    return is_number or not _without_qualifiers("_" + "_".join(rest)).strip("_")


def pair_labels(
    root: Path, files: Sequence[Path], with_labels: bool = True
) -> dict[Path, Path | None]:
    """The label map of each scan among ``files``, or None.

    A label map has a word such as ``gt``, ``seg``, ``mask`` or ``label`` in its name, or in that of
    a folder below ``root``; the rest of its name is that of its scan. If not ``with_labels``, label
    maps are left out, and each scan has None.

    Raises:
        InputError: a label map has no scan, or several, or two belong to one scan.
    """
    labels = _label_maps(root, files)
    pairs: dict[Path, Path | None] = dict.fromkeys(p for p in files if p not in labels)
    scans: dict[str, list[Path]] = defaultdict(list)
    for path in pairs:
        for key in dict.fromkeys(_keys(scan_name(path, root), _IMAGE_WORDS)):
            scans[key].append(path)
    for path in sorted(labels) if with_labels else ():
        found = next(
            (scans[k] for k in _keys(scan_name(path, root), _LABEL_WORDS) if scans.get(k)), []
        )
        if not found:
            raise InputError(
                f"{path}: a label map by its name, but no scan belongs to it; name it as its scan, "
                "followed by _gt, or remove it"
            )
        if len(found) > 1:
            raise InputError(f"{path}: may belong to {found[0]} or to {found[1]}; rename one")
        (scan,) = found
        if other := pairs[scan]:
            raise InputError(f"{path}: {other} is a label map of {scan.name} too; remove one")
        pairs[scan] = path
    return pairs


def _label_maps(root: Path, files: Sequence[Path]) -> set[Path]:
    named = {path for path in files if _says_label(case_name(path))}
    # Where some files of a folder are named so, the name of the folder says nothing of the others.
    folders = {path.parent for path in files} - {path.parent for path in named}
    of_labels = {f for f in folders if any(map(_says_label, f.relative_to(root).parts))}
    return named | {path for path in files if path.parent in of_labels}


def _says_label(name: str) -> bool:
    return not _LABEL_WORDS.isdisjoint(_words(re.sub(r"(Tr|Ts|Un|Val)$", "", name)))


def _keys(name: str, words: frozenset[str]) -> list[str]:
    """Names under which a scan and its label map are looked for, the most exact one first."""
    if words is _LABEL_WORDS:
        return [_key(name, words), _key(name, words | _IMAGE_WORDS)]
    return [_key(name, frozenset()), _key(name, words), _key(name, words).removesuffix("_0000")]


def _key(name: str, leave_out: frozenset[str]) -> str:
    return "_".join(word for word in _words(name) if word not in leave_out)


def _words(name: str) -> list[str]:
    """The words of a name in small letters; ``label0001`` is two."""
    words: list[str] = []
    for word in re.split(r"[\s_.-]+", name.casefold()):
        letters = word.rstrip("0123456789")
        is_known = letters in _LABEL_WORDS | _IMAGE_WORDS
        words += [letters, word[len(letters) :]] if is_known else [word]
    return [word for word in words if word]


def patient_name(path: Path, name: str) -> str:
    """The patient of a scan by its name, without phase, view, session and frame.

    The name of the folder, where it has a number and the name of the scan begins with it.
    """
    if match := _BIDS.match(name):
        return match[0]
    folder = path.parent.name
    if (
        re.search(r"\d", folder)
        and not _GROUP.search(folder)
        and re.match(rf"{re.escape(folder)}[_.-]", name)
    ):
        return folder
    if (match := _PERSON_FIRST.fullmatch(name)) and not _PERSON.fullmatch(match[2]):
        return match[1]
    return _without_qualifiers(name) or name


def _without_qualifiers(name: str) -> str:
    while (shorter := _QUALIFIER.sub("", name)) != name:
        name = shorter
    return name


def group_images(patients: Iterable[str]) -> dict[str, str]:
    """The common name of patients whose names differ in the number of an image alone, by name.

    ``P1_0`` and ``P1_1`` are images of ``P1``, but ``case_1`` and ``case_2`` two patients. What is
    left without the number must itself be able to name a patient; in doubt the images are of one,
    because then they cannot fall on two sides of a split.
    """
    images: dict[str, dict[str, int]] = defaultdict(dict)  # digits of the number by name
    names = sorted(set(patients))
    for name in names:
        shorter = _IMAGE_NUMBER.sub("", name)
        if shorter != name and not _GROUP.search(shorter):
            images[shorter][name] = len(re.sub(r"\D", "", name[len(shorter) :]))
    for name in images.keys() & set(names):  # P1 beside P1_2
        images[name][name] = 0
    most = max(map(len, images.values()), default=0)
    max_digits = 2 if len(images) > 1 else 1
    common: dict[str, str] = {}
    for shorter, members in images.items():
        has_number = bool(re.search(r"\d", shorter)) and max(members.values()) <= max_digits
        names_patient = has_number or _PERSON.search(shorter) or most <= len(images)
        if len(members) > 1 and names_patient:
            common |= dict.fromkeys(members, shorter)
    return common

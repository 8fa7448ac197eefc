"""Names and colors of the labels, as files that ITK-SNAP and 3D Slicer read beside a label map."""

from __future__ import annotations

from ctct.labels import BACKGROUND, COLORS, ORDERS

ITKSNAP_LABELS, SLICER_COLORS = "labels.txt", "labels.ctbl"
COLOR_FILES = (ITKSNAP_LABELS, SLICER_COLORS)

_ITKSNAP_HEAD = """\
################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
################################################
"""
_SLICER_HEAD = "# Color table: label, name, red, green, blue, opacity\n"


def encode_color_files(label_order: str = "acdc") -> dict[str, bytes]:
    """The label description of ITK-SNAP and the color table of 3D Slicer, by file name.

    Args:
        label_order: numbering of the label maps, a key of ``ctct.labels.ORDERS``.
    """
    rows = [(0, BACKGROUND, (0, 0, 0))]
    order = ORDERS[label_order]
    rows += sorted((order[structure], structure, color) for structure, color in COLORS.items())
    itksnap, slicer = _ITKSNAP_HEAD, _SLICER_HEAD
    for value, name, (red, green, blue) in rows:
        is_shown = int(value > 0)
        shown = f"{red:5}{green:5}{blue:5}{is_shown:5}{is_shown:5}{is_shown:5}"
        itksnap += f'{value:5}{shown}    "{name}"\n'
        slicer += f"{value} {name} {red} {green} {blue} {255 * is_shown}\n"
    return {ITKSNAP_LABELS: itksnap.encode(), SLICER_COLORS: slicer.encode()}

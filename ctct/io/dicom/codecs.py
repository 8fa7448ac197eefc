"""Decoders of compressed images, as a plugin of pydicom; importing this file registers it.

imagecodecs brings libjpeg-turbo, CharLS and OpenJPEG.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from pydicom.pixels import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

from ctct.installation import how_to_install

_PLUGIN = "imagecodecs"
#: The function of imagecodecs for each transfer syntax.
_FUNCTIONS = {
    **dict.fromkeys(
        (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1), "jpeg8_decode"
    ),
    **dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), "jpegls_decode"),
    **dict.fromkeys(
        (JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K), "jpeg2k_decode"
    ),
}
#: pydicom reads it in a plugin: what each transfer syntax needs.
DECODER_DEPENDENCIES = dict.fromkeys(_FUNCTIONS, ("imagecodecs",))


def choose_plugin(syntax: UID) -> str:
    """The name of the plugin for a transfer syntax, "" for pydicom's choice.

    Raises:
        NotImplementedError: no installed package decodes it. The message names it and the remedy.
    """
    if is_available(syntax):
        return _PLUGIN
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        decoder = None
    if decoder and (not syntax.is_encapsulated or {*decoder.available_plugins} - {_PLUGIN}):
        return ""
    if syntax in _FUNCTIONS:
        raise NotImplementedError(
            f"compressed as {syntax.name}; {how_to_install('dicom')}, which brings imagecodecs"
        )
    raise NotImplementedError(
        f"ctct cannot read its transfer syntax, {syntax.name}; export it uncompressed, as Explicit "
        "VR Little Endian"
    )


def is_available(uid: str) -> bool:
    """Whether the plugin decodes a transfer syntax; pydicom asks this of a plugin."""
    return uid in _FUNCTIONS and find_spec("imagecodecs") is not None


def decode_frame(packed: bytes, runner: Any) -> bytes:
    """The pixels of a compressed image; pydicom calls this."""
    import imagecodecs

    pixels = getattr(imagecodecs, _FUNCTIONS[runner.transfer_syntax])(packed)
    bits = 8 * pixels.dtype.itemsize
    if runner.pixel_representation == 1 and bits > runner.bits_stored:  # the sign may be cut off
        shift = bits - runner.bits_stored
        pixels = (pixels.view(f"i{pixels.dtype.itemsize}") << shift) >> shift
    runner.set_option("bits_allocated", bits)
    return bytes(pixels.tobytes())


for _syntax in _FUNCTIONS:
    get_decoder(_syntax).add_plugin(_PLUGIN, (__name__, decode_frame.__name__))

"""Sending results: C-STORE to DICOM nodes, STOW-RS to DICOMweb archives."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ctct.node.settings import Destination, SendingSettings
from ctct.node.tls import client_context

log = logging.getLogger(__name__)

_CONNECT_S, _ANSWER_S = 10, 120
#: HTTP status codes of a fault that may pass.
_PASSING = {401, 403, 404, 408, 409, 423, 429}


class SendingError(Exception):
    """A destination did not take all results.

    Attributes:
        is_final: whether it refuses them for what they are, so that it makes no sense to try again.
    """

    def __init__(self, message: str, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


def send_results(files: Sequence[Path], name: str, settings: SendingSettings) -> None:
    """Send DICOM files to the destination of that name; sending them again does no harm.

    Raises:
        SendingError: the destination is down, or did not take all of them.
    """
    for destination in settings.destinations:
        if str(destination) == name:
            send_by_dicom(files, destination, settings)
            return
    if name not in settings.stow:
        raise SendingError("the node has no such destination any more", is_final=True)
    send_by_web(files, name, settings.credentials)


def send_by_dicom(
    files: Sequence[Path], destination: Destination, settings: SendingSettings
) -> None:
    """Send files by C-STORE.

    Raises:
        SendingError: see :func:`send_results`.
    """
    from pydicom import dcmread
    from pynetdicom import AE, _config

    _config.STORE_SEND_CHUNKED_DATASET = True  # files are sent as they are
    node = AE(settings.ae_title)
    node.connection_timeout, node.acse_timeout = _CONNECT_S, _CONNECT_S
    node.dimse_timeout, node.network_timeout = _ANSWER_S, _ANSWER_S
    kinds = set()
    for file in files:
        meta = dcmread(file, stop_before_pixels=True, specific_tags=[]).file_meta
        kinds.add((meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID))
    for kind, syntax in sorted(kinds):
        node.add_requested_context(kind, syntax)
    tls = (client_context(settings.tls), destination.host) if settings.tls else None
    association = node.associate(
        destination.host, destination.port, ae_title=destination.ae_title, tls_args=tls
    )
    if not association.is_established:
        if association.rejected_contexts:
            raise SendingError("takes no objects of any kind of the results", is_final=True)
        how = "rejected the association" if association.is_rejected else "cannot be reached"
        raise SendingError(how)
    try:
        for number, file in enumerate(files, 1):
            _store(association, file, f"result {number} of {len(files)}")
    except SendingError:
        association.abort() if not association.is_established else association.release()
        raise
    association.release()


def _store(association: Any, file: Path, what: str) -> None:
    """Send one file.

    Raises:
        SendingError: it was not taken.
    """
    try:
        answer = association.send_c_store(file)
    except ValueError as error:  # no accepted presentation context
        raise SendingError(f"takes no objects of the kind of {what}", is_final=True) from error
    except RuntimeError as error:
        raise SendingError(f"the connection was lost at {what}") from error
    status = answer.get("Status")
    if status is None:
        raise SendingError(f"no answer to {what}")
    if status != 0 and status & 0xF000 != 0xB000:  # warnings: it was stored
        is_passing = status & 0xFF00 == 0xA700 or status in (0x0110, 0x0124)
        raise SendingError(f"refused {what} with status {status:04X}", is_final=not is_passing)


def send_by_web(
    files: Sequence[Path], url: str, credentials: tuple[str, str] | None = None
) -> None:
    """Send files by STOW-RS.

    Raises:
        SendingError: see :func:`send_results`.
    """
    import requests
    from pydicom import dcmread

    client = open_client(url, credentials)
    for number, file in enumerate(files, 1):
        what = f"result {number} of {len(files)}"
        try:
            answer = client.store_instances([dcmread(file)])
        except requests.HTTPError as error:
            code = error.response.status_code if error.response is not None else 0
            is_final = 400 <= code < 500 and code not in _PASSING
            raise SendingError(f"refused {what} with HTTP status {code}", is_final) from error
        except (OSError, ValueError) as error:  # requests' errors are OSErrors
            raise SendingError(f"cannot be reached ({type(error).__name__})") from error
        if answer.get("FailedSOPSequence"):
            raise SendingError(f"refused {what}", is_final=True)


def open_client(url: str, credentials: tuple[str, str] | None = None) -> Any:
    """A DICOMweb client that asks once, and leaves it to the queue to ask again."""
    import requests
    from dicomweb_client.api import DICOMwebClient

    session = requests.Session()
    session.auth = credentials
    client = DICOMwebClient(
        url, session=session, timeout=(_CONNECT_S, _ANSWER_S), permissive_uid=True
    )
    client.set_http_retry_params(retry=False)
    return client

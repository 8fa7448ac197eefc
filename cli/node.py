"""``ctct node``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctct.cli.options import (
    DEVICE,
    OUTPUT,
    RUNTIME,
    SERVICE_MODEL,
    SERVICE_PRECISION,
    SERVICE_STATUS_PORT,
)

if TYPE_CHECKING:
    from ctct.node.settings import PollingSettings, SendingSettings, Tls

LISTENING = "Listening"
POLLING = "Asking an archive"
SENDING = "Sending results"
LIMITS = "Limits and retention"
STATUS_PORT = 11180
_GIB = 2**30


def node(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="For the queue and what is in work; on a local disk.",
            show_default=False,
        ),
    ],
    ae_title: Annotated[
        str, typer.Option(metavar="AET", help="The node's own AE title.", rich_help_panel=LISTENING)
    ] = "CTCT",
    host: Annotated[
        str, typer.Option(help="Address to listen on.", rich_help_panel=LISTENING)
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Port to listen on. Default: 11112; with --dicomweb, none.",
            rich_help_panel=LISTENING,
        ),
    ] = None,
    allow_ae: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AET",
            help="AE title that may send. Repeat it for several.",
            rich_help_panel=LISTENING,
        ),
    ] = None,
    allow_from: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NETWORK",
            help="Address or network that may connect, as 10.0.0.0/24. Repeat it for several.",
            rich_help_panel=LISTENING,
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option(
            metavar="PEM", help="The node's certificate: turns TLS on.", rich_help_panel=LISTENING
        ),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(metavar="PEM", help="Its key.", rich_help_panel=LISTENING),
    ] = None,
    tls_ca: Annotated[
        Path | None,
        typer.Option(
            metavar="PEM",
            help="Authorities that sign the certificates of the others.",
            rich_help_panel=LISTENING,
        ),
    ] = None,
    quiet: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="A study is complete once no image of it has come for so long.",
            rich_help_panel=LISTENING,
        ),
    ] = 10,
    dicomweb: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="DICOMweb service that is asked for studies.",
            rich_help_panel=POLLING,
        ),
    ] = "",
    query: Annotated[
        str,
        typer.Option(
            metavar="FILTERS",
            help="QIDO-RS filters of studies, as 'ModalitiesInStudy=MR&StudyDate=20260101-'.",
            rich_help_panel=POLLING,
        ),
    ] = "ModalitiesInStudy=MR",
    interval: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0, help="Time between two questions.", rich_help_panel=POLLING
        ),
    ] = 60,
    credentials: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File with USER:PASSWORD for --dicomweb and --stow.",
            rich_help_panel=POLLING,
        ),
    ] = None,
    send_to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AET@HOST:PORT",
            help="DICOM node that gets the results. Repeat it for several.",
            rich_help_panel=SENDING,
        ),
    ] = None,
    send_tls: Annotated[
        bool,
        typer.Option(
            "--send-tls",
            help="Send by TLS, with the certificates of --tls-cert to --tls-ca.",
            rich_help_panel=SENDING,
        ),
    ] = False,
    stow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="DICOMweb service that gets the results by STOW-RS. Repeat it for several.",
            rich_help_panel=SENDING,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            help="Folder that keeps all results, one folder per study.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    formats: Annotated[
        str,
        typer.Option(
            "--format",
            help="As of ctct predict; all DICOM files that it writes are sent.",
            rich_help_panel=OUTPUT,
        ),
    ] = "seg,sr",
    model: SERVICE_MODEL = "default",
    runtime: RUNTIME = "auto",
    device: DEVICE = "auto",
    precision: SERVICE_PRECISION = "auto",
    max_associations: Annotated[
        int, typer.Option(min=1, help="Associations at once.", rich_help_panel=LIMITS)
    ] = 10,
    max_instances: Annotated[
        int, typer.Option(min=1, help="Images of a study.", rich_help_panel=LIMITS)
    ] = 20_000,
    max_instance_gb: Annotated[
        float, typer.Option(min=0, help="Size of an image.", rich_help_panel=LIMITS)
    ] = 1,
    max_study_gb: Annotated[
        float, typer.Option(min=0, help="Size of a study.", rich_help_panel=LIMITS)
    ] = 8,
    max_folder_gb: Annotated[
        float, typer.Option(min=0, help="Size of FOLDER.", rich_help_panel=LIMITS)
    ] = 50,
    min_free_gb: Annotated[
        float, typer.Option(min=0, help="Room that stays free on the disk.", rich_help_panel=LIMITS)
    ] = 1,
    max_wait: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="Age at which a study that is not complete is put apart.",
            rich_help_panel=LIMITS,
        ),
    ] = 3600,
    deadline: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=1,
            help="Longest time to segment a study.",
            rich_help_panel=LIMITS,
        ),
    ] = 1800,
    keep_days: Annotated[
        float,
        typer.Option(
            min=0,
            help="How long failed studies are kept, and how long an archive may be down.",
            rich_help_panel=LIMITS,
        ),
    ] = 7,
    status_port: SERVICE_STATUS_PORT = STATUS_PORT,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="At the start, try the studies that failed again.",
            rich_help_panel=LIMITS,
        ),
    ] = False,
) -> None:
    """Receive studies from the PACS, segment them and send the results back.

    Listens for C-STORE and C-ECHO, or asks a DICOMweb archive. The queue is on the disk: after a
    kill or a power cut, the same command goes on where it stopped.
    """
    from ctct.cli.service import check_extra, serve
    from ctct.errors import ConfigError
    from ctct.node.settings import (
        Limits,
        ListenerSettings,
        NodeSettings,
        SegmentingSettings,
        check_title,
        parse_networks,
    )

    check_extra("pynetdicom", "dicomweb_client")
    title = check_title(ae_title)
    tls = _tls(tls_cert, tls_key, tls_ca)
    if send_tls and not tls:
        raise ConfigError("--send-tls needs --tls-cert, --tls-key and --tls-ca")
    listener = None
    if port is not None or not dicomweb:
        listener = ListenerSettings(
            title,
            host,
            11112 if port is None else port,
            tuple(map(check_title, allow_ae or ())),
            parse_networks(tuple(allow_from or ())),
            tls,
        )
    login = _login(credentials)
    limits = Limits(
        associations=max_associations,
        instance_bytes=int(max_instance_gb * _GIB),
        instances=max_instances,
        study_bytes=int(max_study_gb * _GIB),
        spool_bytes=int(max_folder_gb * _GIB),
        free_bytes=int(min_free_gb * _GIB),
        wait_s=max_wait,
        segmenting_s=deadline,
    )
    settings = NodeSettings(
        folder,
        listener,
        _polling(dicomweb, query, interval, login),
        out=out,
        segmenting=SegmentingSettings(
            model, runtime, device, precision, {"formats": tuple(formats.split(","))}
        ),
        sending=_sending(title, send_to or [], stow or [], tls if send_tls else None, login),
        limits=limits,
        quiet_s=quiet,
        keep_days=keep_days,
        status_port=status_port or None,
    )
    serve(settings, retry_failed)


def _tls(certificate: Path | None, key: Path | None, authorities: Path | None) -> Tls | None:
    from ctct.errors import ConfigError
    from ctct.node.settings import Tls

    if certificate and key and authorities:
        return Tls(certificate, key, authorities)
    if certificate or key or authorities:
        raise ConfigError("--tls-cert, --tls-key and --tls-ca need each other")
    return None


def _login(credentials: Path | None) -> tuple[str, str] | None:
    from ctct.errors import ConfigError

    if credentials is None:
        return None
    try:
        user, separator, password = credentials.read_text("utf-8").strip().partition(":")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--credentials {credentials}: cannot be read ({error})") from error
    if not separator:
        raise ConfigError(f"--credentials {credentials}: write USER:PASSWORD into it")
    return user, password


def _polling(
    url: str, query: str, interval_s: float, login: tuple[str, str] | None
) -> PollingSettings | None:
    from urllib.parse import parse_qsl

    from ctct.errors import ConfigError
    from ctct.node.settings import PollingSettings

    if not url:
        return None
    try:
        filters = dict(parse_qsl(query, strict_parsing=bool(query)))
    except ValueError as error:
        raise ConfigError(f"--query {query!r}: write NAME=VALUE&NAME=VALUE") from error
    return PollingSettings(url.rstrip("/"), filters, interval_s, login)


def _sending(
    title: str,
    send_to: list[str],
    stow: list[str],
    tls: Tls | None,
    login: tuple[str, str] | None,
) -> SendingSettings:
    from ctct.node.settings import Destination, SendingSettings

    destinations = tuple(map(Destination.parse, send_to))
    return SendingSettings(title, destinations, tuple(u.rstrip("/") for u in stow), tls, login)

"""The node beside a real archive: Orthanc, which every test starts on loopback."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pydicom")
pytest.importorskip("pynetdicom")
pytest.importorskip("dicomweb_client")
pytest.importorskip("highdicom")
from dicom_support import enhanced, image, save, zip_folder
from node_support import (
    NodeProcess,
    Orthanc,
    free_port,
    orthanc,
    running_node,
    storescu,
    wait_for,
    write_heart,
)

from ctct.node.sending import SendingError, send_by_dicom
from ctct.node.settings import Destination, SendingSettings, Tls

pytestmark = pytest.mark.slow

PHASES = 6
SLOW_S = 900  # on a busy machine


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("beside")


@pytest.fixture(scope="module")
def node_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def archive(place: Path, node_port: int) -> Iterator[Orthanc]:
    with orthanc(place / "orthanc", node_port) as one:
        yield one


@pytest.fixture(scope="module")
def node(place: Path, archive: Orthanc, node_port: int) -> Iterator[NodeProcess]:
    with running_node(
        place / "node",
        *("--send-to", f"ORTHANC@127.0.0.1:{archive.dicom_port}"),
        *("--allow-ae", "SENDER", "--allow-ae", "ORTHANC"),
        port=node_port,
    ) as one:
        yield one


def segmentations(archive: Orthanc, study: str) -> list[dict[str, str]]:
    return [found for found in archive.instances("SEG") if found["study"] == study]


def test_a_cine_sent_by_storescu_comes_back_attached_to_its_study(
    node: NodeProcess, archive: Orthanc, tmp_path: Path
) -> None:
    done = storescu(write_heart(tmp_path / "cine", "1.2.840.10"), node.port)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: len(segmentations(archive, "1.2.840.10")) == PHASES, SLOW_S)
    assert len({found["series"] for found in segmentations(archive, "1.2.840.10")}) == 1
    wait_for(lambda: not list((node.folder / "studies").iterdir()), SLOW_S, "scans deleted")


def test_a_cine_sent_by_the_archive_comes_back_to_it(
    node: NodeProcess, archive: Orthanc, tmp_path: Path
) -> None:
    heart = write_heart(tmp_path / "cine", "1.2.840.11")
    assert storescu(heart, archive.dicom_port, called="ORTHANC").returncode == 0
    (study,) = archive.ask(
        "/tools/find", {"Level": "Study", "Query": {"StudyInstanceUID": "1.2.840.11"}}
    )
    archive.ask("/modalities/ctct/store", {"Resources": [study]})
    wait_for(lambda: len(segmentations(archive, "1.2.840.11")) == PHASES, SLOW_S)
    # What the archive sends again as it was is not segmented again, and SEG is not taken.
    before = node.metric('studies_total{outcome="repeated"}')
    archive.ask("/modalities/ctct/store", {"Resources": [study], "Permissive": True})
    wait_for(lambda: node.metric('studies_total{outcome="repeated"}') > before, SLOW_S)
    assert len(segmentations(archive, "1.2.840.11")) == PHASES


def test_compressed_and_enhanced_images_come_back_too(
    node: NodeProcess, archive: Orthanc, tmp_path: Path
) -> None:
    from pydicom import dcmread
    from pydicom.uid import RLELossless
    from pynetdicom import AE

    one = enhanced()
    one.StudyInstanceUID, one.FrameOfReferenceUID = "1.2.840.16", "1.2.840.16.1"
    one.PatientBirthDate, one.PatientSex, one.AccessionNumber = "", "", ""
    one.ReferringPhysicianName = ""
    files = [save(one, tmp_path / "enhanced.dcm")]
    for number, path in enumerate(write_heart(tmp_path / "cine", "1.2.840.17").iterdir()):
        compressed = dcmread(path)
        compressed.compress(RLELossless)
        files.append(save(compressed, tmp_path / "rle" / f"{number}.dcm"))
    sender = AE("SENDER")
    sender.add_requested_context("1.2.840.10008.5.1.4.1.1.4", [RLELossless])
    sender.add_requested_context("1.2.840.10008.5.1.4.1.1.4.1")
    association = sender.associate("127.0.0.1", node.port, ae_title="CTCT")
    assert {association.send_c_store(path).Status for path in files} == {0}
    association.release()
    wait_for(lambda: len(segmentations(archive, "1.2.840.16")) == 8, SLOW_S)
    wait_for(lambda: len(segmentations(archive, "1.2.840.17")) == PHASES, SLOW_S)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "phases"), [("vida_3t_whole_study.zip", 25), ("pig_ge_sax.zip", 20)]
)
def test_real_studies_come_back(
    node: NodeProcess,
    archive: Orthanc,
    tmp_path: Path,
    dicom_studies: Path,
    name: str,
    phases: int,
) -> None:
    with zipfile.ZipFile(dicom_studies / name) as packed:
        packed.extractall(tmp_path)
    before = len(archive.instances("SEG"))
    done = storescu(tmp_path, node.port, "-R")
    assert done.returncode == 0, done.stderr[-2000:]
    wait_for(lambda: len(archive.instances("SEG")) == before + phases, SLOW_S)


def test_a_study_without_a_short_axis_is_kept_with_the_reason(
    node: NodeProcess, archive: Orthanc, tmp_path: Path
) -> None:
    for z in range(3):
        save(image(0, z, StudyInstanceUID="1.2.840.12"), tmp_path / "other" / f"{z}.dcm")
    assert storescu(tmp_path / "other", node.port).returncode == 0
    assert storescu(tmp_path / "other", node.port, calling="STRANGER").returncode != 0
    wait_for(lambda: node.count("failed") == 1, SLOW_S)
    (reason,) = node.folder.glob("failed/*/reason.txt")
    assert "none of the DICOM series (1) is a short-axis cine" in reason.read_text()
    assert node.is_healthy()


def test_identifiers_are_in_the_dicom_objects_only(
    node: NodeProcess, archive: Orthanc, tmp_path: Path
) -> None:
    planted = {
        "PatientName": "Quetzalcoatl^Zebulon",
        "PatientID": "PLANTED-4711",
        "AccessionNumber": "ACC-PLANTED",
        "StudyDescription": "STUDY-PLANTED",
    }
    cine = write_heart(tmp_path / "cine", "1.2.840.14.15.16", **planted)
    assert storescu(cine, node.port).returncode == 0
    wait_for(lambda: len(segmentations(archive, "1.2.840.14.15.16")) == PHASES, SLOW_S)
    wait_for(lambda: not list((node.folder / "studies").iterdir()), SLOW_S)
    secrets = (b"Quetzalcoatl", b"Zebulon", b"PLANTED", b"1.2.840.14.15.16")
    shutil.rmtree(cine)
    held = {path: path.read_bytes() for path in node.folder.rglob("*") if path.is_file()}
    held[node.log] = node.log.read_bytes()
    assert any(path.name == "queue.sqlite" for path in held)
    assert any(path.suffix == ".jsonl" for path in held)
    pages = {page: node.ask(page)[1].encode() for page in ("/metrics", "/health")}
    for secret in secrets:
        assert not [place for place, content in (held | pages).items() if secret in content]
    series = segmentations(archive, "1.2.840.14.15.16")[0]["instance"]
    tags = archive.ask(f"/instances/{series}/simplified-tags")
    assert tags["PatientName"] == "Quetzalcoatl^Zebulon"  # or it would not be attached


def test_kills_at_random_moments_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    port, studies = free_port(), 3
    kills = int(os.environ.get("CTCT_NODE_KILLS", "4"))
    dice = random.Random(24)
    with (
        orthanc(tmp_path / "orthanc") as archive,
        running_node(
            tmp_path / "node",
            *("--send-to", f"ORTHANC@127.0.0.1:{archive.dicom_port}"),
            port=port,
        ) as node,
    ):
        cines = [write_heart(tmp_path / f"{n}", f"1.2.840.2{n}") for n in range(studies)]

        def send() -> None:
            for cine in cines:
                while storescu(cine, port).returncode != 0:
                    time.sleep(0.2)

        sender = threading.Thread(target=send)
        sender.start()
        for _ in range(kills):
            time.sleep(dice.uniform(0.2, 6))
            node.kill()
            node.start()
        sender.join()
        wait_for(lambda: node.count("done") == studies, SLOW_S)
        found = archive.instances("SEG")
        assert Counter(one["study"] for one in found) == {
            f"1.2.840.2{n}": PHASES for n in range(studies)
        }
        assert len({one["series"] for one in found}) == studies
        assert node.count("failed") == 0


def test_images_and_results_are_encrypted_on_their_way(tmp_path: Path, certificates: Path) -> None:
    port = free_port()
    authority, key, certificate = (
        certificates / name for name in ("ca.pem", "node.key", "node.pem")
    )
    encrypted = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(certificates / "sender.pem"),
        "DicomTlsPrivateKey": str(certificates / "sender.key"),
        "DicomTlsTrustedCertificates": str(authority),
        "DicomTlsRemoteCertificateRequired": True,
    }
    with (
        orthanc(tmp_path / "orthanc", **encrypted) as archive,
        running_node(
            tmp_path / "node",
            *("--send-to", f"ORTHANC@localhost:{archive.dicom_port}", "--send-tls"),
            *("--tls-cert", certificate, "--tls-key", key, "--tls-ca", authority),
            port=port,
        ) as node,
    ):
        cine = write_heart(tmp_path / "cine", "1.2.840.41")
        assert storescu(cine, port).returncode != 0  # without TLS
        with_tls = ("+tls", certificates / "sender.key", certificates / "sender.pem")
        sent = storescu(cine, port, *map(str, with_tls), "+cf", str(authority))
        assert sent.returncode == 0, sent.stderr
        wait_for(lambda: node.count("done") == 1, SLOW_S)
        assert len(segmentations(archive, "1.2.840.41")) == PHASES


def test_an_archive_whose_certificate_is_not_trusted_gets_nothing(
    tmp_path: Path, certificates: Path
) -> None:
    other = tmp_path / "other.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", str(tmp_path / "other.key"), "-out", str(other), "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    encrypted = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(other),
        "DicomTlsPrivateKey": str(tmp_path / "other.key"),
        "DicomTlsTrustedCertificates": str(certificates / "ca.pem"),
        "DicomTlsRemoteCertificateRequired": True,
    }
    settings = Tls(certificates / "node.pem", certificates / "node.key", certificates / "ca.pem")
    file = next(write_heart(tmp_path / "cine", "1.2.840.42", 2, 2).iterdir())
    with orthanc(tmp_path / "orthanc", **encrypted) as archive:
        to = Destination("ORTHANC", "localhost", archive.dicom_port)
        with pytest.raises(SendingError, match="cannot be reached"):
            send_by_dicom([file], to, SendingSettings(destinations=(to,), tls=settings))
        trusting = Tls(settings.certificate, settings.key, other)
        send_by_dicom([file], to, SendingSettings(destinations=(to,), tls=trusting))
        assert len(archive.instances("MR")) == 1


def test_an_archive_is_asked_and_gets_the_results_by_web(tmp_path: Path) -> None:
    with orthanc(tmp_path / "orthanc") as archive:
        for n in range(2):
            cine = write_heart(tmp_path / f"{n}", f"1.2.840.3{n}", PatientID=f"P{n}")
            assert storescu(cine, archive.dicom_port, called="ORTHANC").returncode == 0
        status_port = free_port()
        node = NodeProcess(
            tmp_path / "node",
            [
                *("node", tmp_path / "node", "--dicomweb", archive.web, "--stow", archive.web),
                *("--query", "PatientID=P1", "--interval", 1, "--quiet", 1),
                *("--status-port", status_port),
            ],
            tmp_path / "node.log",
            status_port=status_port,
        )
        try:
            node.start()
            wait_for(lambda: node.count("done") == 1, SLOW_S)
            time.sleep(3)  # its own results make the study no new one
            assert len(segmentations(archive, "1.2.840.31")) == PHASES
            assert segmentations(archive, "1.2.840.30") == []
            assert node.count("done") == 1
        finally:
            node.stop()


def test_a_watched_folder(tmp_path: Path) -> None:
    shared, out, status_port = tmp_path / "shared", tmp_path / "out", free_port()
    shared.mkdir()
    zip_folder(write_heart(tmp_path / "cine", "1.2.840.40"), shared / "a.zip")
    (shared / "b.nii.gz").write_bytes(b"no scan")
    node = NodeProcess(
        out,
        ["watch", shared, "-o", out, "--quiet", 1, "--status-port", status_port],
        tmp_path / "watch.log",
        status_port=status_port,
    )
    try:
        node.start()
        wait_for(lambda: (node.count("done"), node.count("failed")) == (1, 1), SLOW_S)
    finally:
        node.stop()
    assert (out / "a.zip" / "report.html").exists()
    (reason,) = out.glob(".ctct-watch/failed/*/reason.txt")
    assert "b.nii.gz" in reason.read_text()
    assert sorted(path.name for path in shared.iterdir()) == ["a.zip", "b.nii.gz"]

"""How fast the node answers, and many senders at once. Longer runs are set by the environment:

CTCT_NODE_STUDIES=500 CTCT_NODE_MAX_S=10 python -m pytest tests/ctct/node/test_node_under_load.py -s
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("pydicom")
pytest.importorskip("pynetdicom")
pytest.importorskip("highdicom")
from node_support import orthanc, running_node, storescu, wait_for, write_heart

pytestmark = pytest.mark.slow

STUDIES = int(os.environ.get("CTCT_NODE_STUDIES", "8"))
MAX_S = float(os.environ.get("CTCT_NODE_MAX_S", "900"))
SENDERS, PHASES, QUIET_S, SLOW_S = 4, 6, 1, 900
MAX_BYTES = 1.5 * 2**30


def resident_bytes(pid: int) -> int:
    """Memory of a process and of those that it has started; 0 once it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = [
            child
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(resident_bytes(int(one)) for one in children)


def test_a_cine_of_200_images_is_answered_soon(tmp_path: Path) -> None:
    cine = write_heart(tmp_path / "cine", "1.2.840.50", phases=20, places=10)
    with (
        orthanc(tmp_path / "orthanc") as archive,
        running_node(
            tmp_path / "node", "--send-to", f"ORTHANC@127.0.0.1:{archive.dicom_port}"
        ) as node,
    ):
        sent = storescu(cine, node.port)
        begun = time.monotonic()
        assert sent.returncode == 0, sent.stderr

        def has_come() -> bool:
            found = Counter(one["modality"] for one in archive.instances())
            return found["SEG"] == 20 and found["SR"] >= 1

        wait_for(has_come, SLOW_S)
        seconds = time.monotonic() - begun - QUIET_S
    print(f"SEG and SR of 200 images: {seconds:.1f} s beyond the quiet time")  # noqa: T201
    assert seconds < MAX_S


def test_many_studies_of_several_senders_at_once(tmp_path: Path) -> None:
    uids = [f"1.2.840.60.{n}" for n in range(STUDIES)]
    with (
        orthanc(tmp_path / "orthanc", MaximumStorageSize=0) as archive,
        running_node(
            tmp_path / "node", "--send-to", f"ORTHANC@127.0.0.1:{archive.dicom_port}"
        ) as node,
    ):
        memory: list[int] = []
        refused: list[str] = []

        def send(some: list[str]) -> None:
            for uid in some:
                done = storescu(write_heart(tmp_path / uid, uid), node.port)
                refused.extend([uid] if done.returncode else [])

        senders = [threading.Thread(target=send, args=[uids[n::SENDERS]]) for n in range(SENDERS)]
        for sender in senders:
            sender.start()

        def all_done() -> bool:
            assert node.process
            memory.append(resident_bytes(node.process.pid))
            return node.count("done") == STUDIES

        begun = time.monotonic()
        wait_for(all_done, 60 * STUDIES + 300)
        seconds = time.monotonic() - begun
        found = Counter(one["study"] for one in archive.instances("SEG"))
        reports = Counter(one["study"] for one in archive.instances("SR"))
        assert node.count("failed") == 0
    assert refused == []
    assert found == dict.fromkeys(uids, PHASES)
    assert reports == dict.fromkeys(uids, 1)
    third = len(memory) // 3
    early, late = max(memory[third : 2 * third]), max(memory[2 * third :])
    print(  # noqa: T201
        f"{STUDIES} studies by {SENDERS} senders: {seconds:.0f} s, {max(memory) / 2**20:.0f} MB; "
        f"{early / 2**20:.0f} MB in the second third, {late / 2**20:.0f} MB in the last"
    )
    assert max(memory) < MAX_BYTES
    assert late < 1.15 * early

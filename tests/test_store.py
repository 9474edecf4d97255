from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from headstart import progress
from headstart.store import StoreError, open_store, read_in_blocks

RECORDS = [(bytes([index]) * 34, bytes([255 - index]) * 2800) for index in range(200)]
KEYS = [key for key, _ in RECORDS]

CHILD = """
import sys
from pathlib import Path
from headstart.store import open_store, StoreError
records = [(bytes([i]) * 34, bytes([255 - i]) * 2800) for i in range(200)]
with open_store(Path(sys.argv[1])) as store:
    got = store.get([key for key, _ in records])
    assert all(a is None or a == b for a, (_, b) in zip(got, records)), "wrong content"
    store.put(records)
    assert store.get([key for key, _ in records]) == [b for _, b in records], "not kept"
"""

WRITER = """
import sys
from pathlib import Path
from headstart.store import open_store
number = int(sys.argv[2])
with open_store(Path(sys.argv[1])) as store:
    print("ready", flush=True)
    for turn in range(int(sys.argv[3])):
        for index in range(20):
            key = b"%d-%d" % (number, index)
            store.put([(key, key * 300)])
            assert store.get([key]) == [key * 300]
"""


def fill(folder: Path) -> None:
    with open_store(folder) as store:
        store.put(RECORDS)


def test_kept_over_processes(tmp_path: Path) -> None:
    fill(tmp_path / "s")
    with open_store(tmp_path / "s") as store:
        assert store.get([*KEYS, b"missing"]) == [content for _, content in RECORDS] + [None]
        assert store.count() == len(RECORDS)


def test_open_twice_in_one_process(tmp_path: Path) -> None:
    with open_store(tmp_path) as one, open_store(tmp_path) as two:
        one.put(RECORDS[:1])
        assert two.get(KEYS[:1]) == [RECORDS[0][1]]
    with open_store(tmp_path) as again:
        assert again.count() == 1


def test_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "s")
    monkeypatch.setattr("headstart.store._READ_BLOCK", 7)
    assert list(read_in_blocks(tmp_path / "s", KEYS)) == [content for _, content in RECORDS]


def test_damaged_content_is_missing(tmp_path: Path) -> None:
    fill(tmp_path)
    data = bytearray((tmp_path / "data.mdb").read_bytes())
    place = data.find(RECORDS[7][1][:100])
    data[place + 50] ^= 1
    (tmp_path / "data.mdb").write_bytes(data)
    with open_store(tmp_path) as store:
        got = store.get(KEYS)
    assert got[7] is None
    assert [content for row, content in enumerate(got) if row != 7] == [
        content for row, (_, content) in enumerate(RECORDS) if row != 7
    ]


def test_record_of_another_key_is_missing(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.put(RECORDS[:1])
        with store._environment.begin(write=True) as transaction:
            transaction.put(KEYS[1], transaction.get(KEYS[0]))
        assert store.get(KEYS[:2]) == [RECORDS[0][1], None]


@pytest.mark.parametrize("seed", range(8))
def test_damaged_file_never_crashes(tmp_path: Path, seed: int) -> None:
    fill(tmp_path / "s")
    chance = random.Random(seed)
    path = tmp_path / "s" / "data.mdb"
    data = bytearray(path.read_bytes())
    if seed % 2:
        data = data[: chance.randrange(1, len(data))]
    else:
        for _ in range(20):
            place = chance.randrange(len(data))
            data[place : place + 512] = chance.randbytes(len(data[place : place + 512]))
    path.write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "s")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_damage_is_told(tmp_path: Path) -> None:
    fill(tmp_path / "s")
    (tmp_path / "s" / "data.mdb").write_bytes(b"no database " * 1000)
    heard: list[progress.Event] = []
    with progress.listen(heard.append), open_store(tmp_path / "s") as store:
        assert store.count() == 0
    assert "damaged" in heard[0].message


@pytest.mark.parametrize("damaged", [False, True])
def test_eight_processes_at_once(tmp_path: Path, damaged: bool) -> None:
    if damaged:
        fill(tmp_path / "s")
        os.truncate(tmp_path / "s" / "data.mdb", 100_000)
    arguments = [sys.executable, "-c", WRITER, str(tmp_path / "s")]
    running = [
        subprocess.Popen([*arguments, str(number), "2"], stdout=subprocess.DEVNULL)
        for number in range(8)
    ]
    assert [process.wait(60) for process in running] == [0] * 8
    keys = [b"%d-%d" % (number, index) for number in range(8) for index in range(20)]
    with open_store(tmp_path / "s") as store:
        assert store.get(keys) == [key * 300 for key in keys]


def test_one_process_at_a_time_looks_for_damage(tmp_path: Path) -> None:
    """Else one would throw away what another has just made anew."""
    fcntl = pytest.importorskip("fcntl")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    thread = threading.Thread(target=fill, args=(tmp_path / "s",))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    os.close(descriptor)
    thread.join(30)
    assert not thread.is_alive()


def test_kill_leaves_whole_records(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", WRITER, str(tmp_path / "s"), "1", "100000"]
    for _ in range(3):
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.05)
        process.kill()
        process.wait()
        process.stdout.close()
        with open_store(tmp_path / "s") as store:
            keys = [b"1-%d" % index for index in range(20)]
            assert all(
                content in (None, key * 300)
                for key, content in zip(keys, store.get(keys), strict=True)
            )
            store.put([(b"after", b"content")])


def test_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headstart.store._MAP_SIZES", (1 << 18,))
    with open_store(tmp_path) as store:
        store.put(RECORDS[:5])
        with pytest.raises(StoreError, match="cannot write"):
            store.put(RECORDS)
        assert store.get(KEYS[:6]) == [content for _, content in RECORDS[:5]] + [None]


needs_fallocate = pytest.mark.skipif(
    not hasattr(os, "posix_fallocate"), reason="needs posix_fallocate"
)


@needs_fallocate
def test_the_lock_file_has_its_space(tmp_path: Path) -> None:
    """LMDB maps it: where the disk is full, a page without space would be SIGBUS."""
    with open_store(tmp_path):
        status = (tmp_path / "lock.mdb").stat()
    assert status.st_blocks * 512 >= status.st_size >= 1 << 15


@needs_fallocate
def test_no_space_for_the_lock_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StoreError, match=r"cannot open .*No space left"), open_store(tmp_path):
        pass


def test_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot open"), open_store(tmp_path / "file" / "s"):
        pass


def test_sound_records_are_not_walked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("walked"))
    with open_store(tmp_path) as store:
        assert store.count() == len(RECORDS)
    os.utime(tmp_path / "data.mdb")
    with pytest.raises(pytest.fail.Exception), open_store(tmp_path):
        pass

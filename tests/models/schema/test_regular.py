"""Files that others provide: regular ones are read, others refused, and none is waited for."""

import os
import socket
import threading
from pathlib import Path

import pytest

from models.schema import regular
from models.schema.regular import open_regular, read_regular


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def endless_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def terminal(path: Path) -> None:
    path.symlink_to("/dev/tty")


def fifo_behind_a_link(path: Path) -> None:
    os.mkfifo(path.with_suffix(".fifo"))
    path.symlink_to(path.with_suffix(".fifo"))


def folder(path: Path) -> None:
    path.mkdir()


def link_to_nothing(path: Path) -> None:
    path.symlink_to("nothing")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (fifo, "not a regular file"),
        (unix_socket, "not a regular file"),
        (endless_device, "not a regular file"),
        (terminal, "not a regular file"),
        (fifo_behind_a_link, "not a regular file"),
        (folder, "Is a directory"),
        (link_to_nothing, "No such file or directory"),
        (link_to_itself, "Too many levels of symbolic links"),
    ],
)
def test_what_is_no_file_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: object, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("it"))  # type: ignore[operator]
    for read in (open_regular, lambda path: read_regular(path, 10)):
        with pytest.raises(OSError, match=words) as refusal:
            read(Path("it"))
        assert refusal.value.strerror == words


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_bytes(b"ten bytes!")
    (tmp_path / "link").symlink_to(path)
    assert read_regular(path, 10) == read_regular(tmp_path / "link", 1000) == b"ten bytes!"
    with pytest.raises(OSError, match="more than 9 bytes") as refusal:
        read_regular(path, 9)
    assert refusal.value.strerror == "more than 9 bytes"
    path.write_bytes(b"")
    assert read_regular(path, 0) == b""


def test_a_large_file_comes_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regular, "_PIECE", 7)
    content = os.urandom(100)
    path = tmp_path / "it"
    path.write_bytes(content)
    assert read_regular(path, 100) == content


def test_a_size_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems say 0, as that of processes does; and a file can grow while it is read."""
    path = tmp_path / "it"
    path.write_bytes(bytes(100))
    nothing = os.stat_result((0o100644, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    monkeypatch.setattr(os, "fstat", lambda descriptor: nothing)
    assert read_regular(path, 100) == bytes(100)
    with pytest.raises(OSError, match="more than 99 bytes"):
        read_regular(path, 99)


def test_a_file_that_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = threading.Event()

    def hang(path: Path) -> object:
        answer.wait()
        return open_regular(path)

    monkeypatch.setattr(regular, "PATIENCE_S", 0.05)
    monkeypatch.setattr(regular, "open_regular", hang)
    path = tmp_path / "it"
    path.write_bytes(b"late")
    with pytest.raises(TimeoutError, match=r"no byte arrived for 0\.05 seconds"):
        read_regular(path, 10)
    answer.set()


def test_a_file_that_is_slow_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte between two looks is enough."""

    class Slow(threading.Thread):
        """A reading whose every look finds one more byte."""

        def __init__(self, path: Path, limit: int) -> None:
            super().__init__()
            self.count, self.pieces, self.error = 0, [b"slow"], None

        def is_alive(self) -> bool:
            return self.count < 5

        def start(self) -> None:
            """Nothing runs."""

        def join(self, timeout: float | None = None) -> None:
            self.count += 1

    monkeypatch.setattr(regular, "_Reading", Slow)
    assert read_regular(tmp_path / "it", 10) == b"slow"

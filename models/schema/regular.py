"""Reading of files that others provide: only regular files, with a limit of size and of time.

A FIFO, a socket, a device or a folder is refused before it is opened. Symbolic links are followed,
and the same rules apply to their targets.
"""

import errno
import io
import os
import stat
import threading
from pathlib import Path

# Seconds without a byte. A sleeping disk wakes sooner; a file server that is gone never answers.
PATIENCE_S = 30.0
# At 35 kB a second one piece still arrives in time.
_PIECE = 1 << 20


def read_regular(path: Path, limit: int) -> bytes:
    """Content of the regular file at `path`.

    Raises OSError, whose `strerror` is one line for people, when there is no such file, when it is
    not regular, when it has more than `limit` bytes, and when no byte of it arrived for
    `PATIENCE_S` seconds.
    """
    reading = _Reading(path, limit)
    reading.start()
    count = 0
    while reading.is_alive():
        reading.join(PATIENCE_S)
        if reading.is_alive() and reading.count == count:
            words = f"no byte arrived for {PATIENCE_S:g} seconds"
            raise TimeoutError(errno.ETIMEDOUT, words, str(path))
        count = reading.count
    if reading.error is not None:
        raise reading.error
    return b"".join(reading.pieces)


def open_regular(path: Path) -> io.BufferedReader:
    """Open the regular file at `path` for reading. Raises OSError for one that is not regular."""
    # Opening a device can have effects, so the path is checked first. What was opened is checked
    # again, because somebody may have exchanged the file in between.
    _check(path.stat(), path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check(os.fstat(descriptor), path)
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


class _Reading(threading.Thread):
    """Reads one file. The thread is a daemon, so that a hanging read does not delay the end of the
    process."""

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__(name=f"reading {path.name}", daemon=True)
        self.path, self.limit = path, limit
        self.pieces: list[bytes] = []
        self.count = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with open_regular(self.path) as file:
                self._check_size(os.fstat(file.fileno()).st_size)
                # A file system may state the size 0, and a file can grow while it is read.
                while piece := file.read1(min(_PIECE, self.limit + 1 - self.count)):
                    self.pieces.append(piece)
                    self.count += len(piece)
                    self._check_size(self.count)
        except BaseException as error:
            self.error = error

    def _check_size(self, size: int) -> None:
        if size > self.limit:
            raise OSError(errno.EFBIG, f"more than {self.limit} bytes", str(self.path))


def _check(status: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))

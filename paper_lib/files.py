"""Files that are written whole or not at all, places for temporary ones, and what to say where nothing can be kept."""

from __future__ import annotations

import errno
import glob
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from paper_lib.paths import cache_root


class StorageError(OSError):
    """A file or a directory cannot be read or written; the message, one line, names it and says what is needed."""


@contextmanager
def kept_in(path: Path) -> Iterator[None]:
    """Within it, where `path` is read or written, an error of the file system is raised as StorageError.

    FileNotFoundError passes: what is not there is made.
    """
    try:
        yield
    except (StorageError, FileNotFoundError):
        raise
    except OSError as error:
        raise StorageError(needed(path, error)) from error


def needed(path: Path, error: OSError) -> str:
    """Returns in one line what `path` needs after the file system's `error`."""
    elsewhere = ", or name another place by PAPER_LIB_CACHE" if path.is_relative_to(cache_root()) else ""
    place = next((place for place in (path, *path.parents) if os.path.lexists(place)), path)
    # Of libraries that read files themselves, safetensors for one, errors have no number.
    unnumbered = errno.EACCES if isinstance(error, PermissionError) else errno.EISDIR if path.is_dir() else None
    match error.errno or unnumbered:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return (
                f"{path.parent} has no room for {path.name} ({error.strerror}): make room{elsewhere}, and run this "
                "again; it goes on where it was"
            )
        case errno.EROFS | errno.EACCES | errno.EPERM:
            refused = place if place.is_dir() or not os.access(place, os.R_OK | os.W_OK) else place.parent
            told = error.strerror or error
            return f"{refused} must be readable and writable, and is not ({told}): change that{elsewhere}"
        case errno.ENOTDIR | errno.EEXIST:
            return f"{place} is not a directory, and one is needed there: move it away{elsewhere}"
        case errno.EISDIR:
            return f"{place} is a directory, and a file is needed there: move it away{elsewhere}"
        case _:
            return f"{path}: {error.strerror or error}"


def make_directory(path: Path) -> None:
    """Makes `path` and what it stands in, where they are not there; raises StorageError."""
    with kept_in(path):
        path.mkdir(parents=True, exist_ok=True)


def atomic_write(path: Path, content: bytes) -> None:
    """Writes `content` to `path` so that a reader, or a crash at any moment, meets the old file or the new one.

    What processes that were killed left of such a file is removed. Raises StorageError.
    """
    make_directory(path.parent)
    with kept_in(path):
        # Not by tempfile, whose files nobody else may read: the umask says who may.
        temporary = path.with_name(f"{_prefix(path.parent, f'.{path.name}.')}{uuid4().hex[:8]}")
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def scratch_directory(name: str, parent: Path | None = None) -> Iterator[Path]:
    """Gives a new directory for a `with`, in `parent` or where temporary files go; its name begins with `name`.

    Those that processes that were killed left there are removed.
    """
    with temporary_directory(name, parent) as path:
        yield Path(path)


def temporary_directory(name: str, parent: Path | None = None) -> tempfile.TemporaryDirectory[str]:
    """Returns the directory of `scratch_directory` for whoever has no `with`: it goes with the last reference to it."""
    place = parent or Path(tempfile.gettempdir())
    with kept_in(place):
        prefix = _prefix(place, f"{name}-")
        return tempfile.TemporaryDirectory(dir=place, prefix=prefix, ignore_cleanup_errors=True)


def _prefix(place: Path, prefix: str) -> str:
    """Returns how names in `place` begin that are this process's; removes those of processes that have ended.

    They begin with `prefix`, the name of the machine, as several may share the directory, and the process's number.
    """
    ours = f"{prefix}{platform.node()}-"
    for path in place.glob(f"{glob.escape(ours)}*"):
        process = path.name.removeprefix(ours).partition("-")[0]
        if process.isdigit() and not is_running(int(process)):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    return f"{ours}{os.getpid()}-"


def is_running(process: int) -> bool:
    """Returns whether there is a process of this number on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True

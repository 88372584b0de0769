"""The results store: every training and every measurement is a small JSON record, found by the digest of its settings.

A record carries its own checksum and says how it came to be. One that is damaged is reported and computed again; where
records are published, it is refused, for it took hours and can be had again from git. A test that many results are of
is stored once, beside them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from paper_lib.circumstances import Provenance, machine, versions
from paper_lib.files import atomic_write, kept_in
from paper_lib.settings import Settings

logger = logging.getLogger("paper_lib")

# The environment's name of the page that is being made: worker processes inherit it.
PAGE = "PAPER_LIB_PAGE"


class DamagedRecordError(RuntimeError):
    """A published record is not what was published; the message, one line, names it and says how to get it back."""


TEST = "spoken"  # in a result: the utterances of its test, which other results share


@dataclass(frozen=True)
class Record:
    """One result with the settings that determine it and the circumstances that produced it."""

    kind: str
    digest: str
    settings: dict[str, Any]
    provenance: dict[str, Any]
    result: dict[str, Any]

    @property
    def seconds(self) -> float:
        """Seconds of computing; what was killed and went on counted those before, its provenance has the last part."""
        return float(max(self.provenance["seconds"], self.result.get("seconds", 0)))


def by_step(history: Mapping[str, float]) -> dict[int, float]:
    """Returns a history of a record, a value by step or round, in order: in JSON keys are texts, sorted as texts."""
    return {step: history[str(step)] for step in sorted(map(int, history))}


def record_digest(kind: str, settings: Settings, corpus: str) -> str:
    """Returns the name of the record of `kind` for `settings`, measured on the corpus with the digest `corpus`.

    Two corpora of the same settings differ where another version of the synthesiser spoke them.
    """
    return hashlib.sha256(f"{kind}:{settings.digest()}:{corpus}".encode()).hexdigest()[:16]


_consulted: dict[tuple[str, str], Record] = {}
_looking = ContextVar("looking", default=False)


def consulted() -> list[Record]:
    """Returns the records that this process has asked for, in order; a chapter prints their provenance."""
    return list(_consulted.values())


def consult(records: Iterable[Record]) -> None:
    """Counts `records` as consulted."""
    _consulted.update({(record.kind, record.digest): record for record in records})


@contextmanager
def looking() -> Iterator[None]:
    """Within it no record counts as consulted: it is only seen which are there."""
    token = _looking.set(True)
    try:
        yield
    finally:
        _looking.reset(token)


def begin_page() -> None:
    """Gives a name to the page that this process makes, and to what is computed for it here and in worker processes."""
    os.environ[PAGE] = uuid4().hex


def computed_with_page(record: Record) -> bool:
    """Returns whether the page that this process makes computed `record`, or found it in a store."""
    return PAGE in os.environ and record.provenance.get("page") == os.environ[PAGE]


def computed(
    kind: str,
    settings: Settings,
    compute: Callable[[], Mapping[str, Any]],
    *,
    corpus: str,
    seeds: Sequence[int] = (),
) -> Record:
    """Returns the record of what `compute` returns, made now and here; arguments as in `Store.get_or_compute`."""
    began = time.perf_counter()
    # By way of JSON: what is returned now has the types that it will have when it is read.
    result = json.loads(json.dumps(dict(compute())))
    provenance = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - began, 3),
        "seeds": list(seeds),
        "corpus": corpus,
        "machine": machine(),
        "versions": versions(),
        "page": os.environ.get(PAGE),
    }
    return Record(kind, record_digest(kind, settings, corpus), settings.model_dump(mode="json"), provenance, result)


class Store:
    """Records in `directory`, one file each.

    In the file of a record, "spoken" (who said what in its test) is a digest: tests/DIGEST.json has the utterances of
    all records of that test. In the record that is returned, they are in their place. Where they are `published`, one
    that is damaged is not computed again.
    """

    def __init__(self, directory: Path, *, published: bool = False) -> None:
        self.directory = directory
        self.published = published
        self._tests = _Tests(directory / "tests")

    def get(self, kind: str, settings: Settings, corpus: str) -> Record | None:
        """Returns the record of `kind` for `settings` on the corpus with the digest `corpus`.

        Nothing is returned where none is stored or the stored one is damaged. Raises DamagedRecordError where records
        are published, and StorageError.
        """
        digest = record_digest(kind, settings, corpus)
        record = self._read(self._path(kind, digest))
        if record is not None and not _looking.get():
            consult([record])
        return record

    def _path(self, kind: str, digest: str) -> Path:
        return self.directory / kind / f"{digest}.json"

    def get_or_compute(
        self,
        kind: str,
        settings: Settings,
        compute: Callable[[], Mapping[str, Any]],
        *,
        corpus: str,
        seeds: Sequence[int] = (),
    ) -> Record:
        """Returns the stored record, or computes, stores and returns it; `seeds` are for the provenance."""
        if (record := self.get(kind, settings, corpus)) is not None:
            return record
        record = computed(kind, settings, compute, corpus=corpus, seeds=seeds)
        self.put(record)
        return record

    def put(self, record: Record) -> None:
        """Stores a record, which may have been computed on another machine."""
        # The test comes first: there is no record without it.
        shared = {TEST: self._tests.put(record.result[TEST])} if TEST in record.result else {}
        content = _serialize(replace(record, result=record.result | shared))
        atomic_write(self._path(record.kind, record.digest), content)
        consult([record])

    def _read(self, path: Path) -> Record | None:
        damaged = path
        try:
            with kept_in(path):
                content = json.loads(path.read_text(encoding="utf-8"))
            checksum = content.pop("checksum")
            if checksum != _checksum(content):
                reason = "its checksum does not match"
            elif (content["kind"], content["digest"]) != (path.parent.name, path.stem):
                reason = f"it is record {content['digest']} of {content['kind']}"
            else:
                record = Record(**content)
                Provenance.model_validate(record.provenance)
                if isinstance(test := record.result.get(TEST), str):
                    damaged = self._tests.path(test)
                    record.result[TEST] = self._tests.get(test)
                return record
        except FileNotFoundError:
            return None
        except ValidationError as error:
            fault = error.errors()[0]
            reason = " ".join(f"its provenance cannot be: {'.'.join(map(str, fault['loc']))}: {fault['msg']}".split())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = f"it cannot be read: {type(error).__name__}: {error}"
        if self.published:
            raise DamagedRecordError(
                f"the published record {path} is damaged ({reason}): `git checkout -- {shlex.quote(str(damaged))}` "
                "brings it back; without that file it would be measured anew, which may take hours"
            )
        logger.warning("record %s is damaged (%s): it is computed again", path, reason)
        return None


class _Tests:
    """Tests in `directory`, one file each, which has the checksum of what it holds as its name."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def get(self, digest: str) -> dict[str, Any]:
        """Returns the test with this digest; raises ValueError where it is not there or damaged."""
        path = self.path(digest)
        try:
            with kept_in(path):
                test: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ValueError(f"its test {path} is missing") from None
        except (ValueError, RecursionError) as error:
            raise ValueError(f"its test {path}: {error}") from None
        if _checksum(test)[:16] != digest:
            raise ValueError(f"its test {path} is not what its name says")
        return test

    def put(self, test: Mapping[str, Any]) -> str:
        """Returns the digest of `test`, which is written where no whole file holds it yet."""
        digest = _checksum(test)[:16]
        try:
            self.get(digest)
        except ValueError:
            atomic_write(self.path(digest), _line(test))
        return digest

    def path(self, digest: str) -> Path:
        return self.directory / f"{digest}.json"


def _checksum(content: Mapping[str, Any]) -> str:
    # Of serialised JSON, so that a file survives being reformatted and nothing else.
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _serialize(record: Record) -> bytes:
    content = asdict(record)
    return _line({**content, "checksum": _checksum(content)})

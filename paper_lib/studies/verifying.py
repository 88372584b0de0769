"""Recomputes published records from nothing, and says whether they come out the same.

Nothing that the cache holds is used, but recordings of people: speech is synthesised anew, models are trained anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import paper_lib
from paper_lib.circumstances import machine, versions
from paper_lib.durations import duration
from paper_lib.locks import locked
from paper_lib.paths import cache_root, librispeech_root, speech_commands_root
from paper_lib.profiles import Profile
from paper_lib.results import Record, Store
from paper_lib.settings import TrainingRun
from paper_lib.studies.differences import differences, told
from paper_lib.studies.inventory import Inventory, Wanted
from paper_lib.studies.measurements import run_of


@dataclass(frozen=True)
class Outcome:
    """A record that was recomputed: whether it agrees, and a line that says how well."""

    agrees: bool
    line: str


def verify(profile: Profile, sample: int, seed: int | None = None) -> Iterator[Outcome]:
    """Recomputes `sample` records of `profile`, and yields how each compares; killed and started again it goes on.

    Those that this kind of machine made come first, and of them the cheapest, each with the trainings that it needs;
    with a `seed`, records are drawn by it, all alike likely. On the kind of machine that made it a record must be the
    same to the bit; on another it must be within the tolerances of `differences`.
    """
    there = [one for one in Inventory(profile).wanted() if one.record]
    chosen = _first(there, sample) if seed is None else random.Random(seed).sample(there, min(sample, len(there)))
    with locked(cache_root() / "verified.lock", "records computed anew"), _empty_cache() as directory:
        for wanted in chosen:
            yield _recomputed(wanted, Store(directory / "records"))


def _first(there: Sequence[Wanted], sample: int) -> list[Wanted]:
    """Returns `sample` records, of this kind of machine if there are so many, since of them every bit can be compared.

    Of those it is each time the one that costs least once those before it, and their models, are made.
    """
    of_other_kind = {one.measurement.digest(): bool(one.record and _of_other_kind(one.record)) for one in there}
    left, chosen, trained = list(there), list[Wanted](), set[str]()
    seconds = {
        one.measurement.digest(): one.record.seconds
        for one in there
        if one.record and isinstance(one.measurement, TrainingRun)
    }

    def cost(one: Wanted) -> float:
        run = run_of(one.measurement)
        # A model that no record here tells of is dearer than any.
        needed = sum(seconds.get(digest, 1e9) for digest in _chain(run) if digest not in trained)
        own = 0.0 if isinstance(one.measurement, TrainingRun) or not one.record else one.record.seconds
        return needed + own

    while left and len(chosen) < sample:
        one = min(left, key=lambda one: (of_other_kind[one.measurement.digest()], cost(one)))
        left.remove(one)
        chosen.append(one)
        trained.update(_chain(run_of(one.measurement)))
    return chosen


def _chain(run: TrainingRun) -> list[str]:
    """Returns the digests of a training and of those that it begins with."""
    return [run.digest(), *(_chain(run.base) if run.base else ())]


def _recomputed(wanted: Wanted, store: Store) -> Outcome:
    # Takes torch, which a list of what is there does without.
    from paper_lib.studies.computing import measure
    from paper_lib.threads import one_thread

    assert wanted.record
    with one_thread():
        here = measure(wanted.measurement, store, 0)
    found = differences(wanted.record.result, here.result)
    alike = not (other := _of_other_kind(wanted.record))
    name = f"{here.kind}/{here.digest}.json ({wanted.name}; {duration(here.seconds)})"
    if not found:
        return Outcome(True, f"{name}: the same to the bit")
    beyond = [difference for difference in found if not difference.tolerated]
    made_on = "though this is the kind of machine that made it" if alike else f"made with {other}"
    if alike or beyond:
        return Outcome(False, f"{name}: DIFFERS, {made_on}: {told(beyond or found)}")
    return Outcome(True, f"{name}: within tolerance, {made_on}: {told(found)}")


def _of_other_kind(record: Record) -> str:
    """Returns in what the machine of `record`, and its libraries, are of another kind than these; "" where in nothing.

    Every job has one thread: the number of cores plays no part.
    """
    here = {**machine(), **versions()}
    there = {**record.provenance["machine"], **record.provenance["versions"]}
    return ", ".join(
        f"{name} {there.get(name, 'unknown')} (here {value})"
        for name, value in here.items()
        if name != "cores" and value != there.get(name, "unknown")
    )


@contextmanager
def _empty_cache() -> Iterator[Path]:
    """Within it the cache is a directory of what this code has made to verify, and of nothing else.

    What other code has made is deleted: one process at a time verifies.
    """
    root = cache_root() / "verified"
    code = hashlib.sha256(json.dumps(versions(), sort_keys=True).encode())
    for path in sorted(Path(paper_lib.__file__).parent.rglob("*.py")):
        code.update(path.read_bytes())
    directory = root / code.hexdigest()[:16]
    for other in root.glob("*"):
        if other != directory:
            shutil.rmtree(other)
    places = {
        "PAPER_LIB_CACHE": directory,
        "PAPER_LIB_LIBRISPEECH": librispeech_root(),
        "PAPER_LIB_SPEECH_COMMANDS": speech_commands_root(),
    }
    before = {name: os.environ.get(name) for name in places}
    os.environ.update({name: str(path) for name, path in places.items()})
    try:
        yield directory
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def verify_all(profiles: Sequence[Profile], sample: int, seed: int | None, tell: Callable[[str], object]) -> bool:
    """Verifies `sample` records of each of `profiles` that has some; `tell` gets a line for each, and for all."""
    outcomes = []
    for profile in profiles:
        for outcome in verify(profile, sample, seed):
            tell(f"{profile.name}: {outcome.line}")
            outcomes.append(outcome)
    agree = sum(outcome.agrees for outcome in outcomes)
    tell(f"{agree} of {len(outcomes)} records agree")
    return agree == len(outcomes)

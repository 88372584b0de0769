"""Makes the records that a profile lacks, in the order in which the chapters need them."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor

from paper_lib.cluster import ClusterError
from paper_lib.durations import duration
from paper_lib.jobs import LOCAL, Engine, Job, run_chosen
from paper_lib.profiles import Profile
from paper_lib.results import Record, Store
from paper_lib.studies.computing import measure
from paper_lib.studies.inventory import Inventory, in_order_of_need
from paper_lib.studies.measurements import Measurement, key_of
from paper_lib.studies.queue import in_turn, prepare_corpora


class MeasurementError(RuntimeError):
    """A measurement failed, or there is no speech for it; the message says which and why."""


def make(
    profile: Profile,
    workers: int | None = None,
    tell: Callable[[str], object] = print,
    engine: Engine = LOCAL,
) -> None:
    """Makes what the store lacks, `workers` at a time; `tell` gets a line for every record that is made.

    What a record makes nameable is made, too. Killed and started again it goes on: a record is stored as soon as it is
    measured, and a training or an adaptation goes on where it was. Raises MeasurementError; what was made stays.
    """
    inventory = Inventory(profile)
    lacking = [one.measurement for one in inventory.wanted() if one.record is None]
    try:
        prepare_corpora(lacking)
    except (OSError, ValueError, RuntimeError) as error:  # no recordings, one that cannot be used, no synthesiser
        raise MeasurementError(f"there is no speech to measure with: {error}") from error
    names: dict[tuple[str, str], str] = {}

    def missing() -> list[Measurement]:
        lacking = [one for one in in_order_of_need(inventory.wanted()) if one.record is None]
        names.update({one.key: one.name for one in lacking})
        return [one.measurement for one in lacking]

    def job_of(measurement: Measurement) -> Job:
        return Job(_make, (measurement, names[key_of(measurement)], inventory.store if engine.is_here else None))

    try:
        for job, (record, seconds) in run_chosen(in_turn(missing, job_of), workers, engine):
            if not engine.is_here:
                inventory.store.put(record)
            left = sum(one.record is None for one in inventory.wanted())
            more = ", and what depends on their rankings" if inventory.unnamed else ""
            tell(f"{job.arguments[1]}: {duration(seconds)}; {left} left{more}")
    except BrokenExecutor as error:
        raise MeasurementError(f"a process that measured ended, perhaps for want of memory: {error}") from error
    except ClusterError as error:
        raise MeasurementError(str(error)) from error
    if lost := [one for one in inventory.wanted() if one.record is None]:
        raise MeasurementError(f"{lost[0].name}: it was measured, but {inventory.store.directory} has no record of it")


def _make(measurement: Measurement, name: str, store: Store | None, position: int) -> tuple[Record, float]:
    """Returns the record, which is in the store if there is one, and the seconds that it took."""
    began = time.perf_counter()
    try:
        record = measure(measurement, store, position)
    except Exception as error:
        raise MeasurementError(f"{name}: {type(error).__name__}: {error}") from error
    return record, time.perf_counter() - began

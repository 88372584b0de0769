"""What is measured at a profile, what is missing, and how long the rest will take, in lines of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from paper_lib.durations import duration
from paper_lib.profiles import Profile
from paper_lib.settings import TrainingRun
from paper_lib.studies.inventory import Inventory, Wanted
from paper_lib.studies.measurements import Measurement, is_cached, run_of
from paper_lib.trainings import mixed_trainings

if TYPE_CHECKING:  # It takes torch, which a list of what is all there does without.
    from paper_lib.studies.costs import Times

# Seconds of measurements, None where they are not known.
Seconds = Callable[[Measurement], float | None]


def listing(profile: Profile, workers: int | None = None) -> list[str]:
    """Returns what is measured and what is missing by chapter, and how long `workers` will take for the rest.

    Where this machine has no training to judge by, models are timed now, which takes some seconds each.
    """
    inventory = Inventory(profile)
    wanted = inventory.wanted()
    missing = [one.measurement for one in wanted if one.record is None]
    mixed = mixed_trainings(one.record for one in wanted if one.record)
    if not missing:
        return [*_chapters(inventory, wanted, lambda _: None), *mixed, f"all {len(wanted)} records are there"]

    from paper_lib.jobs import default_workers
    from paper_lib.studies.computing import compute_device
    from paper_lib.studies.costs import Times

    times = Times(((one.measurement, one.record) for one in wanted if one.record), compute_device())
    lines = [*_chapters(inventory, wanted, times.seconds), *mixed]
    unnamed, again = inventory.unnamed, _trained_again(wanted)
    if unnamed:
        lines.append(
            f"and what depends on their rankings: up to {len(unnamed)} measurements{_time(unnamed, times.seconds)}"
        )
    if again:
        names = ", ".join(f"{run.model.encoder.dim} × {run.model.encoder.layers} seed {run.seed}" for run in again)
        lines.append(f"and trained again, as only their records are here: {names}{_time(again, times.seconds)}")
    lines.append(f"{len(wanted) - len(missing)} of {len(wanted)} records are there, {len(missing)} are missing")
    return [*lines, *_left([*missing, *unnamed, *again], times, workers or default_workers())]


def _left(measurements: Sequence[Measurement], times: Times, workers: int) -> list[str]:
    """Returns how long `workers` will take for `measurements`, and how that is known."""
    known = [seconds for seconds in map(times.seconds, measurements) if seconds is not None]
    lines = []
    if known:
        # More workers do not shorten the longest of them.
        wall = max(sum(known) / workers, *known)
        lines.append(
            f"about {sum(known) / 3600:.1f} core-hours, {wall / 3600:.1f} hours with {workers} "
            f"worker{'s' if workers > 1 else ''}; less where trainings end early"
        )
    if more := len(measurements) - len(known):
        lines.append(f"and {more} measurements whose time is not known before one of their sort is made here")
    if times.made:
        lines.append(f"times are those of {times.made} records that this machine made, scaled by cost")
    if times.timed:
        lines.append(
            f"trainings of {len(times.timed)} models were timed just now, by some steps on noise each: "
            "this machine has made none to judge by"
        )
    return lines


def _chapters(inventory: Inventory, wanted: Sequence[Wanted], timing: Seconds) -> list[str]:
    lines = []
    for chapter, plan in inventory.plans.items():
        if not plan.measurements:
            continue
        own = [one for one in wanted if one.chapter == chapter]
        lines.append(f"{chapter}:" if own else f"{chapter}: all that it needs stands with the chapters above")
        for sort in dict.fromkeys(one.sort for one in own):
            alike = [one for one in own if one.sort == sort]
            missing = [one for one in alike if one.record is None]
            line = f"  {sort}: {len(alike) - len(missing)} of {len(alike)}"
            if missing:
                line += f"; missing: {_seeds(missing)}{_time([one.measurement for one in missing], timing)}"
            lines.append(line)
    return lines


def _seeds(missing: Sequence[Wanted]) -> str:
    """Returns the seeds with the number of measurements of each, where that is not one: "seeds 0 (16), 1"."""
    counts = Counter(one.seed for one in missing)
    seeds = ", ".join(f"{seed} ({count})" if count > 1 else str(seed) for seed, count in sorted(counts.items()))
    return f"seed{'s' if len(counts) > 1 else ''} {seeds}"


def _time(measurements: Iterable[Measurement], timing: Seconds) -> str:
    seconds = [timing(measurement) for measurement in measurements]
    known = [one for one in seconds if one is not None]
    return f"; {duration(sum(known))}" if len(known) == len(seconds) else "; time not known yet"


def _trained_again(wanted: Sequence[Wanted]) -> list[TrainingRun]:
    """Returns the trainings whose records are there, whose models are not, and on which something is still measured."""
    stored = [run_of(one.measurement) for one in wanted if one.record and isinstance(one.measurement, TrainingRun)]
    needed = [run_of(one.measurement) for one in wanted if one.record is None]
    return [run for run in stored if run in needed and not is_cached(run)]

"""The queue of what is measured: longest first, several at a time, and what can be named only when more is stored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from paper_lib.corpus import open_corpus
from paper_lib.jobs import LOCAL, Engine, Job, default_workers, run_chosen
from paper_lib.results import Store
from paper_lib.settings import CorpusSettings, Split, TrainingRun
from paper_lib.studies.computing import compute_device, measure
from paper_lib.studies.costs import cost
from paper_lib.studies.measurements import AdaptationStudy, Measurement, corpus_of, key_of, run_of


def compute(
    missing: Callable[[], Sequence[Measurement]], store: Store, workers: int | None = None, engine: Engine = LOCAL
) -> None:
    """Makes the records of what `missing` names, longest first, models and what is asked of them side by side.

    It is asked again whenever a worker is free: once a ranking is stored, plans by it can be named. Of what a cluster
    computes, this process stores the records. Raises ClusterError.
    """

    def longest_first() -> list[Measurement]:
        return sorted(missing(), key=lambda one: (not isinstance(one, TrainingRun), -cost(one)))

    named = missing()
    prepare_corpora(named)
    if engine.is_here:
        # With one model, or one adaptation, everything runs in this process.
        apart = {(one if isinstance(one, AdaptationStudy) else run_of(one)).digest() for one in named}
        workers = min(workers or default_workers(), max(1, len(apart)))
        for _ in run_chosen(in_turn(longest_first, lambda one: Job(_measure, (one, store))), workers):
            pass
    else:
        for _, record in run_chosen(in_turn(longest_first, lambda one: Job(measure, (one, None))), workers, engine):
            store.put(record)


def in_turn(
    missing: Callable[[], Sequence[Measurement]], job_of: Callable[[Measurement], Job]
) -> Callable[[Sequence[Job]], Job | None]:
    """Returns what chooses jobs for `run_chosen`: of what `missing` names, the first that was not begun and can begin.

    The first argument of a job is its measurement. None is begun twice; of equal ones, one.
    """
    begun: set[tuple[str, str]] = set()

    def choose(running: Sequence[Job]) -> Job | None:
        under_way = [job.arguments[0] for job in running]
        for one in missing():
            if (key := key_of(one)) not in begun and can_begin(one, under_way):
                begun.add(key)
                return job_of(one)
        return None

    return choose


def can_begin(measurement: Measurement, running: Collection[Measurement]) -> bool:
    """Returns whether a worker would not have to wait for one of those `running`: a model is trained by one of them.

    Adaptations leave the model that they begin with as it is.
    """
    others = [other for other in running if run_of(other) == run_of(measurement)]
    return not others or all(isinstance(one, AdaptationStudy) for one in (measurement, *others))


def prepare_corpora(measurements: Iterable[Measurement]) -> None:
    """Makes the speech of `measurements` that is not in the cache."""
    corpora = [corpus for one in measurements for corpus in (corpus_of(one).settings, *_trained_on(run_of(one)))]
    for settings in {corpus.digest(): corpus for corpus in corpora}.values():
        # While a GPU trains, the CPU's cores make the training speech.
        splits: tuple[Split, ...] = ("dev", "test") if compute_device().type == "cuda" else ("train", "dev", "test")
        open_corpus(settings).prepare(splits)


def _trained_on(run: TrainingRun) -> list[CorpusSettings]:
    return [run.corpus, *(_trained_on(run.base) if run.base else ())]


def _measure(measurement: Measurement, store: Store, position: int) -> None:
    measure(measurement, store, position)

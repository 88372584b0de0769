"""Jobs, measurements and federated clients on a Ray cluster of two nodes, one of which is lost in the middle."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from test_jobs import Job, echo, fail, meet
from tiny_runs import Words, tiny_run

from paper_lib.cluster import ClusterError
from paper_lib.conformer.transducer import Transducer
from paper_lib.federated.algorithm import federated_dropout
from paper_lib.federated.clients import Client
from paper_lib.jobs import LOCAL, Engine, run_chosen
from paper_lib.paths import cache_root
from paper_lib.results import Store
from paper_lib.settings import BitsPlan, DropoutPlan, FederatedSettings, ResetSettings
from paper_lib.studies.measurements import Measurement, ResetStudy, directory_of, record_of, stored
from paper_lib.studies.queue import compute

ray = pytest.importorskip("ray", reason="the extra ray is not installed (make test-engines)")

# On a busy machine Ray gives up a node that has not started within 30 s: once more, then.
STARTS = 3


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A head without a core, and two nodes of one core each; the cache is in a directory that both see."""
    from ray.cluster_utils import Cluster

    tests = Path(__file__).parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAPER_LIB_CACHE", str(tmp_path_factory.mktemp("shared")))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(tests.parent), str(tests)]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        memory = {"object_store_memory": 100 * 2**20}
        for attempt in range(STARTS):
            made = Cluster()
            try:
                made.add_node(num_cpus=0, include_dashboard=False, **memory)
                made.nodes = [made.add_node(num_cpus=1, **memory) for _ in range(2)]
                break
            except Exception:
                made.shutdown()
                if attempt == STARTS - 1:
                    raise
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture
def engine(cluster: Any) -> Engine:
    return Engine("ray", cluster.address)


def run_all(jobs: Sequence[Job], engine: Engine, workers: int | None = None) -> list[Any]:
    waiting = iter(jobs)
    results = {id(job): result for job, result in run_chosen(lambda _: next(waiting, None), workers, engine)}
    return [results[id(job)] for job in jobs]


def forget_the_cluster(position: int) -> None:
    """Removes the file by which a node knows that it sees the driver's cache."""
    for seen in cache_root().glob(".cluster-*"):
        seen.unlink()


def meet_on_a_node(name: str, other: str, directory: Path, position: int) -> tuple[bool, str]:
    """Returns whether the job `other` is under way while this one is, and on which node this one is."""
    return meet(name, other, directory, position), ray.get_runtime_context().get_node_id()


def test_jobs_run_on_both_nodes_with_one_thread_each(engine: Engine, tmp_path: Path) -> None:
    seen = run_all([Job(echo, (value,)) for value in range(4)], engine)
    assert [value for value, *_ in seen] == list(range(4))
    assert os.getpid() not in {process for _, _, process, _ in seen}
    assert {threads for *_, threads in seen} == {1}
    (one, here), (two, there) = run_all(
        [Job(meet_on_a_node, (*names, tmp_path)) for names in (("one", "two"), ("two", "one"))], engine
    )
    assert one
    assert two
    assert here != there


def test_an_exception_of_a_job_is_raised_here_as_it_was(engine: Engine) -> None:
    with pytest.raises(KeyError, match="what went wrong") as raised:
        run_all([Job(echo, (1,)), Job(fail, ("what went wrong",))], engine)
    assert type(raised.value) is KeyError


def test_a_node_that_does_not_see_the_cache_is_named(engine: Engine) -> None:
    with pytest.raises(ClusterError, match=rf"node \S+ does not see {cache_root()}: set PAPER_LIB_CACHE to a"):
        run_all([Job(forget_the_cluster, ()), Job(echo, (1,))], engine, workers=1)


def after_two_rounds(model: Transducer, clients: Sequence[Client], engine: Engine) -> tuple[Any, list[Any]]:
    settings = FederatedSettings(rounds=2, clients_per_round=3, local_batch_frames=400, seed=5)
    plan, bits = DropoutPlan(name="half of layer 2", rates={2: 0.5}), BitsPlan(name="8", elsewhere=8)
    algorithm = federated_dropout(settings, plan, model.settings, Words(), 2, bits, engine=engine)
    state, reports = algorithm.init(model), []
    for _ in range(2):
        state, report = algorithm.apply(state, clients)
        reports.append(report)
    return state, reports


def test_federated_clients_on_a_cluster_give_the_bits_of_those_here(
    engine: Engine, model: Transducer, clients: list[Client]
) -> None:
    (here, reports), (there, reports_there) = (after_two_rounds(model, clients, one) for one in (LOCAL, engine))
    assert here.weights.keys() == there.weights.keys()
    assert all(torch.equal(here.learnt[name], there.learnt[name]) for name in here.learnt)
    assert not any(torch.equal(tensor, model.state_dict()[name]) for name, tensor in here.weights.items())
    assert reports == reports_there
    assert all(len(report.clients) == len(clients) for report in reports)


def measured(measurements: Sequence[Measurement], store: Store, engine: Engine) -> list[dict[str, Any]]:
    """Returns results without the time that they took."""
    compute(lambda: [one for one in measurements if stored(one, store) is None], store, 2, engine)
    return [
        {key: value for key, value in record_of(one, store).result.items() if key != "seconds"} for one in measurements
    ]


def when(happens: Callable[[], bool], act: Callable[[], None]) -> threading.Thread:
    """Starts to wait for what `happens`, in another thread, and then to `act`."""

    def wait() -> None:
        while not happens():
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_records_are_those_of_this_machine_though_a_node_is_lost_in_the_middle(
    engine: Engine, cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [tiny_run("batch", seed, steps=120, checkpoint_every=10) for seed in (0, 1)]
    resets = [ResetStudy(run=run, reset=ResetSettings(draws=1)) for run in runs]
    store = Store(tmp_path / "there")

    def both_are_under_way() -> bool:
        return all((directory_of(run) / "checkpoint.safetensors").exists() for run in runs)

    before: dict[int, tuple[int, bool]] = {}

    def lose_a_node() -> None:
        cluster.remove_node(cluster.nodes[1], allow_graceful=False)
        for run in runs:
            started = (directory_of(run) / "initial.safetensors").stat().st_mtime_ns
            before[run.seed] = started, any((store.directory / "training").glob("*.json"))

    thread = when(both_are_under_way, lose_a_node)
    there = measured([*runs, *resets], store, engine)
    thread.join()
    until = time.monotonic() + 60  # so long Ray may take to believe it
    while sum(one["Alive"] for one in ray.nodes()) > 2 and time.monotonic() < until:
        time.sleep(0.1)
    assert sum(one["Alive"] for one in ray.nodes()) == 2  # the head, and a node
    # Both trainings were in the middle, and neither began anew: that would have written its first weights again.
    for run in runs:
        assert before[run.seed] == ((directory_of(run) / "initial.safetensors").stat().st_mtime_ns, False)
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path / "cache here"))
    assert there == measured([*runs, *resets], Store(tmp_path / "here"), LOCAL)

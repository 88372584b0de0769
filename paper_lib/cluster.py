"""Jobs as tasks of a Ray cluster, behind the interface of an executor of the standard library.

Ray (Moritz et al. 2018) is the extra `ray`. A task has one CPU core and one thread, or one GPU where the cluster has
any. Ray runs a task anew whose node or process is lost; what it saved is in the cache (`PAPER_LIB_CACHE`), a directory
that all nodes share, so it goes on from its last checkpoint. Results come back to the process that asked.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from uuid import uuid4

from paper_lib.paths import cache_root

# Of the driver's environment, what tasks have too.
INHERITED = "PAPER_LIB_"


class ClusterError(RuntimeError):
    """There is no such cluster, or it cannot run jobs; the message says why and what would help."""


class Cluster:
    """A Ray cluster on which this process is a driver: an executor, with as many slots as it has cores, or GPUs.

    `address` is that of a cluster that runs, "auto" on one of its nodes; none: a cluster of this machine alone, which
    ends with this process. Raises ClusterError.
    """

    def __init__(self, address: str | None = None) -> None:
        ray = self._ray = _connect(address)
        resources = ray.cluster_resources()
        self._gpus = 1 if resources.get("GPU") else 0
        self.slots = max(1, int(resources.get("GPU" if self._gpus else "CPU", 0)))
        # A node that sees this file shares the cache.
        self._seen = cache_root() / f".cluster-{uuid4().hex}"
        self._seen.parent.mkdir(parents=True, exist_ok=True)
        self._seen.touch()
        # What was lost with a node is begun again, however often.
        self._task = ray.remote(num_cpus=1, num_gpus=self._gpus, max_retries=-1)(_run)
        self._running: dict[Future[Any], Any] = {}

    def share(self, value: Any) -> Any:
        """Returns what stands for `value` among the arguments of `submit`: a node receives it once, whatever runs."""
        return self._ray.put(value)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Returns the result, when it is there, of a module-level `function` of `arguments` on some node."""
        task = self._task.remote(self._seen, function, *arguments)
        future: Future[Any] = Future()
        self._running[future] = task

        def arrived(of_ray: Future[Any]) -> None:
            del self._running[future]
            if (error := of_ray.exception()) is None:
                future.set_result(of_ray.result())
            elif isinstance(error, self._ray.exceptions.RayTaskError):
                future.set_exception(error.cause)
            elif isinstance(error, self._ray.exceptions.RayError):
                future.set_exception(ClusterError(f"the cluster lost a job: {str(error).splitlines()[0]}"))
            else:
                future.set_exception(error)

        task.future().add_done_callback(arrived)
        return future

    def shutdown(self, kill_workers: bool = False) -> None:
        """Gives up what is under way, if `kill_workers`. The connection stays until this process ends."""
        if kill_workers:
            for task in list(self._running.values()):
                self._ray.cancel(task, force=True)
        self._seen.unlink(missing_ok=True)


def _connect(address: str | None) -> Any:
    """Returns the module `ray`, connected."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # Nothing is sent to Ray's makers.
    try:
        import ray
    except ImportError:
        raise ClusterError("engine ray needs Ray, which is not installed: pip install 'paper_lib[ray]'") from None
    if ray.is_initialized():
        return ray
    environment = {name: value for name, value in os.environ.items() if name.startswith(INHERITED)}
    environment |= {"PAPER_LIB_CACHE": str(cache_root()), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    # A new cluster, even where one runs on this machine, is asked for by the address "local".
    settings = {"include_dashboard": False} if address is None else {}
    try:
        ray.init(
            address=address or "local",
            runtime_env={"env_vars": environment},
            logging_level=logging.ERROR,
            **settings,
        )
    except Exception as error:  # Ray raises bare ones, too
        what = f"no Ray cluster answers at {address}" if address else "Ray does not start on this machine"
        raise ClusterError(f"{what}: {str(error).splitlines()[0]}") from error
    return ray


def _run(seen: Path, function: Callable[..., Any], *arguments: Any) -> Any:
    if not seen.exists():
        raise ClusterError(
            f"node {socket.gethostname()} does not see {seen.parent}: set PAPER_LIB_CACHE to a directory that all "
            "nodes of the cluster share"
        )
    return function(*arguments)

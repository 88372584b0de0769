"""Rounds of federated learning with Federated Dropout, by our loop, by pfl and by Flower's simulation.

All three train the same clients, on the same batches, with the same masks: the client's work is one function, and what
is compared is everything around it. After a round the three models must be the same.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.timing import OURS, Row, Timed, check_close, installed
from paper_lib.conformer.transducer import Transducer
from paper_lib.corpus import open_corpus
from paper_lib.corpus.tokens import CharacterTokenizer
from paper_lib.federated.algorithm import FederatedAlgorithm, client_mask, client_seed, federated_dropout
from paper_lib.federated.averaging import ServerState
from paper_lib.federated.clients import Client, client_update, clients_of, local_batches, trainable
from paper_lib.federated.dropout import coverage, extract, scatter
from paper_lib.federated.plans import named_plan
from paper_lib.paths import cache_root
from paper_lib.profiles import profile_of
from paper_lib.settings import FederatedSettings, ServerOptimizerSettings, SyntheticSettings
from paper_lib.threads import one_thread

CLIENTS, ROUNDS = 16, 4
PFL, FLOWER = "pfl", "Flower simulation"
MODEL = profile_of("quick").adaptation.model
# Half of the units of three layers, a tenth in the others.
PLAN = named_plan("amb-3", range(1, MODEL.encoder.layers + 1))
# A step along the mean update: what all three can do alike.
SETTINGS = FederatedSettings(
    rounds=ROUNDS + 1,
    clients_per_round=CLIENTS,
    client_learning_rate=0.05,
    server=ServerOptimizerSettings(kind="sgd", learning_rate=1.0),
)
Update = tuple[dict[str, Tensor], dict[str, Tensor]]  # the weighted update and the weight of every coordinate


@cache
def everyone() -> list[Client]:
    """Returns sixteen speakers with fifteen short sentences each."""
    settings = SyntheticSettings(
        domains={"short_form": 1.0},
        utterances={"train": 15 * CLIENTS, "dev": 1, "test": 1},
        speakers={"train": CLIENTS, "dev": 1, "test": 1},
        unseen_speakers=False,
    )
    return clients_of(open_corpus(settings), "train")


def new_model() -> Transducer:
    """Returns the model before the first round, the same in every process."""
    torch.manual_seed(0)
    return Transducer(MODEL)


def work(weights: dict[str, Tensor], round_: int, client: Client) -> Update:
    """Returns what a client sends in a round for the full model's `weights`, as the other frameworks are given it."""
    mask, seed = client_mask(SETTINGS, PLAN, MODEL, round_, client), client_seed(SETTINGS, round_, client.name)
    with one_thread():
        batches = local_batches(SETTINGS, client, (seed,))
        update = client_update(SETTINGS, MODEL, extract(weights, mask), mask, batches, CharacterTokenizer(), seed)
    count = len(client.items)
    whole, covered = scatter(update, mask, weights), coverage(mask, weights)
    return (
        {name: count * tensor for name, tensor in whole.items()},
        {name: count * covered[name].expand_as(tensor).clone() for name, tensor in whole.items()},
    )


def mean(total: dict[str, Tensor], weight: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns the mean update per coordinate; 0 where nobody has trained."""
    return {name: tensor / weight[name].clamp(min=1e-12) for name, tensor in total.items()}


class OurRounds:
    """Our algorithm, a round at a time."""

    def __init__(self, workers: int) -> None:
        self.algorithm: FederatedAlgorithm = federated_dropout(SETTINGS, PLAN, MODEL, CharacterTokenizer(), workers)
        self.state: ServerState = self.algorithm.init(new_model())

    def __call__(self) -> None:
        self.state, _ = self.algorithm.apply(self.state, everyone())

    def weights(self) -> dict[str, Tensor]:
        return self.state.weights


class PflRounds:
    """pfl's simulation on its PyTorch backend, in one process, a round at a time."""

    def __init__(self) -> None:
        from pfl.aggregate.simulate import SimulatedBackend
        from pfl.algorithm.base import FederatedAlgorithm as PflAlgorithm
        from pfl.common_types import Population
        from pfl.context import CentralContext
        from pfl.data.dataset import Dataset
        from pfl.data.federated_dataset import FederatedDataset
        from pfl.internal.ops import pytorch_ops  # makes PyTorch the framework of this process
        from pfl.internal.ops.selector import set_framework_module
        from pfl.metrics import Metrics
        from pfl.model.pytorch import PyTorchModel
        from pfl.stats import MappedVectorStatistics as Statistics

        set_framework_module(pytorch_ops)
        clients = {str(place): client for place, client in enumerate(everyone())}

        class Algorithm(PflAlgorithm):  # type: ignore[misc]
            """Federated Dropout as a user of pfl would write it."""

            rounds, due = 0, False

            def get_next_central_contexts(self, model: Any, *_: object) -> tuple[Any, Any, Any]:
                if not self.due:
                    return None, model, Metrics()
                self.due = False
                context = CentralContext(self.rounds, False, CLIENTS, Population.TRAIN, None, None, None, 0)
                return (context,), model, Metrics()

            def simulate_one_user(self, model: Any, user_dataset: Any, central_context: Any) -> tuple[Any, Any]:
                weights = {name: tensor.detach() for name, tensor in model.pytorch_model.state_dict().items()}
                total, weight = work(weights, self.rounds, clients[user_dataset.user_id])
                # Its statistics with a weight per element, which would fit, are refused by its own simulation.
                return Statistics(total | {f"{name}:weight": tensor for name, tensor in weight.items()}), Metrics()

            def process_aggregated_statistics(
                self, central_context: Any, aggregate_metrics: Any, model: Any, statistics: Any
            ) -> tuple[Any, Any]:
                self.rounds += 1
                names = [name for name in statistics.keys() if not name.endswith(":weight")]  # noqa: SIM118
                total = {name: statistics[name] for name in names}
                step = mean(total, {name: statistics[f"{name}:weight"] for name in names})
                return model.apply_model_update(Statistics(step))

        def sampler() -> str:
            self.asked += 1
            return str((self.asked - 1) % CLIENTS)

        self.asked, self.loop = 0, asyncio.new_event_loop()
        module = new_model()
        module.loss = module.metrics = None  # type: ignore[assignment]  # it asks for both, and calls neither here
        self.model = PyTorchModel(module, torch.optim.SGD, torch.optim.SGD(module.parameters(), lr=1.0))
        data = FederatedDataset(lambda name: Dataset([np.arange(len(clients[name].items))], user_id=name), sampler)
        self.backend = SimulatedBackend(data, data)
        self.algorithm = Algorithm()

    def __call__(self) -> None:
        self.algorithm.due = True
        asyncio.set_event_loop(self.loop)  # of this thread
        self.algorithm.run(None, self.backend, self.model, None, send_metrics_to_platform=False)

    def weights(self) -> dict[str, Tensor]:
        return trainable(self.model.pytorch_model)


def flower_client(message: Any, context: Any) -> Any:
    """One client's answer in Flower: the totals and the weights of its coordinates, as arrays."""
    from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict

    weights = message.content["arrays"].to_torch_state_dict()
    client = everyone()[int(context.node_config["partition-id"])]
    total, weight = work(weights, int(message.content["config"]["server-round"]) - 1, client)
    content = {
        "arrays": ArrayRecord(total | {f"{name}:weight": tensor for name, tensor in weight.items()}),
        "metrics": MetricRecord({"num-examples": len(client.items)}),
    }
    return Message(content=RecordDict(content), reply_to=message)


def flower_rounds(actors: int, after: Callable[[], None]) -> tuple[list[float], dict[str, Tensor], float]:
    """Runs Flower's simulation.

    Returns the seconds of every round but the first, the weights after the first, and the seconds of everything.
    `after` is called after every round, out of the clock: what is compared runs there, by turns.
    """
    from flwr.app import ArrayRecord
    from flwr.clientapp import ClientApp
    from flwr.serverapp import ServerApp
    from flwr.serverapp.strategy import FedAvg
    from flwr.simulation import run_simulation

    taken: list[float] = []
    first: dict[str, Tensor] = {}

    class Strategy(FedAvg):  # type: ignore[misc]
        """FedAvg with a mean per coordinate."""

        def configure_train(self, server_round: int, arrays: Any, config: Any, grid: Any) -> Any:
            self.began, self.arrays = time.perf_counter(), arrays
            return super().configure_train(server_round, arrays, config, grid)

        def aggregate_train(self, server_round: int, replies: Any) -> tuple[Any, None]:
            if errors := [str(reply.error) for reply in replies if not reply.has_content()]:
                raise RuntimeError(errors[0])
            torch.set_num_threads(1)
            answers = [reply.content["arrays"].to_torch_state_dict() for reply in replies]
            weights = self.arrays.to_torch_state_dict()
            names = [name for name in answers[0] if not name.endswith(":weight")]
            total = {name: torch.stack([answer[name] for answer in answers]).sum(0) for name in names}
            weight = {name: torch.stack([answer[f"{name}:weight"] for answer in answers]).sum(0) for name in names}
            for name, step in mean(total, weight).items():
                weights[name] = weights[name] + step
            moved = ArrayRecord(weights)
            taken.append(time.perf_counter() - self.began)
            first.update(weights if not first else {})
            after()
            return moved, None

    server, client = ServerApp(), ClientApp()
    client.train()(flower_client)

    @server.main()
    def main(grid: Any, context: Any) -> None:
        strategy = Strategy(fraction_train=1.0, fraction_evaluate=0.0, min_available_nodes=CLIENTS)
        strategy.start(grid=grid, initial_arrays=ArrayRecord(new_model().state_dict()), num_rounds=SETTINGS.rounds)

    resources = {"num_cpus": 2.0 / actors, "num_gpus": 0.0}
    config = {"client_resources": resources, "init_args": {"num_cpus": 2, "include_dashboard": False}}
    began = time.perf_counter()
    run_simulation(server, client, num_supernodes=CLIENTS, backend_config=config)
    return taken[1:], first, time.perf_counter() - began


def compare(workers: int) -> dict[str, Any]:
    """Returns the seconds of every round by contestant and how far their models are apart; in a process of its own."""
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    runs: dict[str, Any] = {OURS: OurRounds(workers)}
    if installed("pfl") and workers == 1:
        runs[PFL] = PflRounds()
    taken: dict[str, list[float]] = {name: [] for name in runs}
    first: dict[str, dict[str, Tensor]] = {}

    def one_each() -> None:
        torch.set_num_threads(1)  # Flower calls from a thread, which has its own
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            taken[name].append(time.perf_counter() - began)
            first.setdefault(name, {key: tensor.clone() for key, tensor in run.weights().items()})

    weights: dict[str, dict[str, Tensor]] = {}
    more = {}
    if installed("flwr") and installed("ray"):
        seconds, answer, whole = flower_rounds(workers, one_each)
        weights[FLOWER] = answer
        more["Flower, start included, s"] = round(whole - sum(map(sum, taken.values())), 1)
    else:
        for _ in range(SETTINGS.rounds):
            one_each()
    weights |= first
    taken = {name: turns[1:] for name, turns in taken.items()} | ({FLOWER: seconds} if FLOWER in weights else {})
    start = trainable(new_model())
    apart = {}
    for name in weights.keys() - {OURS}:
        # Of how far the round has moved them; in later rounds training makes more of what rounding does.
        pairs = ((key, mine - start[key], weights[name][key] - start[key]) for key, mine in weights[OURS].items())
        apart[name] = max(check_close(f"{name}, {key}", mine, theirs, 1e-3) for key, mine, theirs in pairs)
    return {"taken": taken, "apart": apart, "more": more}


def rows() -> Iterator[Row]:
    """Yields rounds with one process for the clients, then with two."""
    os.environ["PAPER_LIB_CACHE"] = str(cache_root())
    os.environ["PYTHONPATH"] = os.getcwd()
    everyone()
    for workers in (1, 2):
        # pfl wants to be in the main process of a program, and Ray to find what it calls in a module.
        program = f"import json; from benchmarks import rounds; print(json.dumps(rounds.compare({workers})))"
        command = [sys.executable, "-c", program]
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
        found = json.loads(result.stdout.splitlines()[-1])
        timed = [Timed(name, seconds) for name, seconds in found["taken"].items()]
        equal = "; ".join(f"{name}: what a round has moved to {apart:.0e}" for name, apart in found["apart"].items())
        more = {"rounds a minute": {t.name: round(60 / t.median, 1) for t in timed}, **found["more"]}
        what = f"{CLIENTS} clients, 50 % of 3 layers, {workers} process{'es' * (workers > 1)}"
        yield Row("federated", what, 1, timed, equal, more)

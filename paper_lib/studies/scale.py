"""What a profile's measurements take on larger machines, by counting: operations, disk, and what a server sends.

Nothing here is measured. Operations are those of products of matrices (`federated.accounting`), hours follow from a
speed that the caller assumes, and a price is the caller's own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from paper_lib.conformer.sizes import count_parameters
from paper_lib.federated.accounting import PlanAccount, account, step_flops
from paper_lib.federated.quantisation import FLOAT_BYTES
from paper_lib.paths import published_records
from paper_lib.profiles import SIZES, Profile
from paper_lib.settings import MEL_BINS, BitsPlan, CorpusSettings, DropoutPlan, TrainingRun, TransducerSettings
from paper_lib.studies import STUDIES
from paper_lib.studies.costs import cost
from paper_lib.studies.measurements import AdaptationStudy, Measurement, key_of, run_of

NOTHING = DropoutPlan(name="none")
FEATURE_BYTES = 2  # float16
# Weights and two moments in a checkpoint, and the weights of step 0.
KEPT = 4


@dataclass(frozen=True)
class Speech:
    """A mean utterance of a corpus, and the hours of the whole."""

    seconds: float
    labels: int  # word-pieces
    hours: float


def speech_of(corpus: CorpusSettings) -> Speech:
    """Returns what is assumed of the speech of `corpus`: of LibriSpeech by its paper (Panayotov et al. 2015)."""
    if corpus.source == "librispeech":
        return Speech(seconds=12.3, labels=50, hours=971.7)  # 960.9 of training, 10.8 of dev-clean and test-clean
    # Voice commands and short phrases; the profile `gpu` has about 100 hours of 160,000.
    count = sum(getattr(corpus, "utterances", {}).values())
    return Speech(seconds=2.25, labels=12, hours=2.25 * count / 3600)


@dataclass(frozen=True)
class Work:
    """What is computed for a profile on one sort of model.

    Attributes:
        operations: of one training, all its steps, with a full batch each.
        everything: of all trainings of the model and of all that is measured on them.
    """

    parameters: int
    trainings: int
    operations: float
    everything: float


def work_of(profile: Profile) -> dict[str, Work]:
    """Returns the work by model, "S", "M", "L" and "clients", the model that clients adapt.

    What is measured on a model counts by its cost beside that of the model's training (`costs.cost`).
    """
    models: dict[str, TransducerSettings] = {size: profile.models[size] for size in SIZES}
    models["clients"] = profile.adaptation.model
    found: dict[str, list[Measurement]] = {name: [] for name in models}
    for one in _measurements(profile):
        found[_name(models, run_of(one).model)].append(one)
    work = {}
    for name, measurements in found.items():
        runs = {run_of(one).digest(): run_of(one) for one in measurements}
        if not runs:
            continue
        by_run = {digest: training_operations(run) for digest, run in runs.items()}
        work[name] = Work(
            parameters=count_parameters(models[name]).total,
            trainings=len(runs),
            operations=max(by_run.values()),
            everything=sum(by_run[run_of(one).digest()] * cost(one) / cost(run_of(one)) for one in measurements),
        )
    return work


def training_operations(run: TrainingRun) -> float:
    """Returns the operations of all steps of `run`, forward and backward."""
    speech = speech_of(run.corpus)
    frames = round(100 * speech.seconds)
    utterances = run.training.batch_frames / frames
    return step_flops(NOTHING, run.model, frames, speech.labels) * utterances * run.training.steps


def disk_of(profile: Profile) -> tuple[int, int]:
    """Returns the bytes in the cache of the features of all speech, and of all models with their checkpoints."""
    measurements = list(_measurements(profile))
    runs = {run_of(one).digest(): run_of(one) for one in measurements}
    corpora = {run.corpus.digest(): run.corpus for run in runs.values()}
    features = sum(speech_of(corpus).hours for corpus in corpora.values()) * 3600 * 100 * MEL_BINS * FEATURE_BYTES
    models = sum(KEPT * FLOAT_BYTES * count_parameters(run.model).total for run in runs.values())
    # An adaptation keeps the weights and the server's moments, as much as three models.
    rounds = [one for one in measurements if isinstance(one, AdaptationStudy) and one.federated.rounds]
    return round(features), models + sum(3 * FLOAT_BYTES * count_parameters(one.run.model).total for one in rounds)


@dataclass(frozen=True)
class Server:
    """A federated server of many clients: bytes, and counts of rounds.

    Attributes:
        account: of one client in one round.
        held: bytes of weights, of the optimizer's moments and of the running mean of a round, however many clients
            there are.
        clients: in all.
        per_round: of these, that answer in a round.
    """

    account: PlanAccount
    held: int
    clients: int
    per_round: int

    @property
    def rounds(self) -> int:
        """Rounds until every client was asked once."""
        return -(-self.clients // self.per_round)

    @property
    def sent(self) -> int:
        """Bytes that the server sends in a round."""
        return self.per_round * self.account.down

    @property
    def received(self) -> int:
        return self.per_round * self.account.up


def server_of(
    model: TransducerSettings,
    plan: DropoutPlan,
    clients: int,
    per_round: int,
    bits: BitsPlan | None = None,
    trained: tuple[int, ...] | None = None,
) -> Server:
    """Returns the sum on paper for FedAdam; the arguments but the counts are as in `federated_dropout`."""
    of_client = account(plan, model, seconds=2.25, labels=12, bits=bits, trained=trained)
    # Weights, Adam's two moments, and the sum of the round's updates; their weights are one row a module.
    held = 4 * FLOAT_BYTES * of_client.parameters
    return Server(of_client, held, clients, per_round)


def speeds_here() -> list[tuple[str, int, str, float, float]]:
    """Returns of each published training of `laptop` its encoder, steps, instructions, hours, and operations a second.

    The first records do not name their processor's instructions. They were AVX-512.
    """
    found = []
    for path in sorted((published_records("laptop") / "training").glob("*.json")):
        record = json.loads(path.read_text())
        run = TrainingRun.model_validate(record["settings"])
        steps = len(record["result"]["losses"]) * record["result"]["loss_stride"]
        operations = training_operations(run) * min(1.0, steps / run.training.steps)
        seconds = record["result"]["seconds"]
        encoder = f"{run.model.encoder.dim} × {run.model.encoder.layers}"
        instructions = record["provenance"]["machine"].get("instructions", "AVX512")
        found.append((encoder, min(steps, run.training.steps), instructions, seconds / 3600, operations / seconds))
    return sorted(found)


def _measurements(profile: Profile) -> tuple[Measurement, ...]:
    """Returns all that the chapters want of `profile`, with what stands for what cannot be named yet."""
    plans = [study(profile) for study in STUDIES.values()]
    return tuple({key_of(one): one for plan in plans for one in (*plan.measurements, *plan.unnamed)}.values())


def _name(models: dict[str, TransducerSettings], model: TransducerSettings) -> str:
    """Returns the name of the model of these settings, whatever its norm."""

    def without_norm(settings: TransducerSettings) -> TransducerSettings:
        encoder = settings.encoder.model_copy(update={"norm": "batch", "groups": 1})
        return settings.model_copy(update={"encoder": encoder})

    return next(name for name, one in models.items() if without_norm(one) == without_norm(model))

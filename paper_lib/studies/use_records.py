"""Records of what ranks are good for: of clients who round, train or drop by rank, and of layers in few bits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from paper_lib.federated.choices import LOW
from paper_lib.federated.client_ranks import AGREEMENT, NORM
from paper_lib.federated.comparison import Adapted
from paper_lib.federated.plans import named_plan
from paper_lib.inference import Floats
from paper_lib.layers.cheap_ranks import FISHER, GRADIENT, INFLUENCE, RELATIVE, SIGNATURE
from paper_lib.layers.sweeps import Sweeps
from paper_lib.results import Record
from paper_lib.settings import BitsPlan, DropoutPlan

Kind = Literal["bits", "trained", "dropout"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Rankings = Mapping[str, Sequence[int]]  # by what ranks: layers, from 1, from the most ambient
NONE = named_plan("none", ())
# By name of a plan, what ranks its layers in the place of resets: the model alone, or what clients answer.
RANKED_BY = {
    "signature-3": SIGNATURE,
    "relative-3": RELATIVE,
    "influence-3": INFLUENCE,
    "gradient-3": GRADIENT,
    "fisher-3": FISHER,
    "updates-3": NORM,
    "agreement-3": AGREEMENT,
}


def alone(layer: int) -> BitsPlan:
    """Returns the plan that rounds one layer as far as any plan does, and no other layer."""
    return BitsPlan(name="alone", bits={layer: LOW}).by_bits()


class Choice(NamedTuple):
    """What clients do otherwise than in plain FedAvg."""

    plan: DropoutPlan = NONE
    bits: BitsPlan | None = None
    trained: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Use:
    """One choice, from every seed: which layers it was about, and how the adaptations went."""

    name: str
    draws: int  # of its layers by each seed
    choices: tuple[Choice, ...]  # by seed, and by draw
    adaptations: tuple[Record, ...]  # likewise

    def adapted(self, domains: Collection[str]) -> Adapted:
        """Returns the word errors on `domains` after the adaptations, mean over draws."""
        return Adapted.of([record.result for record in self.adaptations], domains, self.draws)


@dataclass(frozen=True)
class UseGroup:
    """Choices of one kind, and FedAvg without any, from the same seeds."""

    before: tuple[Record, ...]  # by seed
    none: Use
    uses: tuple[Use, ...]
    rankings: tuple[Rankings, ...]  # by seed


@dataclass(frozen=True)
class QuantisedRecords:
    """Models of size S after their training, by seed, with their layers in few bits."""

    resets: tuple[Record, ...]  # of the layers, on dev speech: what the plans go by
    quantised: tuple[Record, ...]
    plans: tuple[Mapping[str, Sequence[BitsPlan]], ...]  # by seed, name and draw

    def heard(self, name: str) -> Adapted:
        """Returns the word errors on the test under the plan called `name`, mean over its draws."""
        return Adapted.average(self._draws(name))

    def drawn(self, name: str) -> list[float]:
        """Returns the WER of every draw of the plan called `name`, of each training: they drew other layers."""
        return [float(wer) for errors in self._draws(name) for wer in errors.by_seed]

    @property
    def intact(self) -> Adapted:
        """The word errors on the test in float32."""
        return self._errors([record.result["intact"] for record in self.quantised])

    def alone(self) -> Floats:
        """Returns the WER that each layer adds with its matrices alone in 2 bits, [trainings, layers]."""
        names = [alone(layer + 1).name for layer in range(self.harm().shape[1])]
        wers = [self._of_plans([name] * len(self.quantised)).by_seed for name in names]
        added: Floats = np.stack(wers, axis=1) - self.intact.by_seed[:, None]
        return added

    def harm(self) -> Floats:
        """Returns the WER change by the re-initialisation of each layer on dev speech, [trainings, layers]."""
        return Sweeps.of([record.result for record in self.resets]).harm()

    def _draws(self, name: str) -> list[Adapted]:
        drawn = zip(*(plans[name] for plans in self.plans), strict=True)
        return [self._of_plans([plan.name for plan in by_seed]) for by_seed in drawn]

    def _of_plans(self, names: Sequence[str]) -> Adapted:
        """Returns the word errors under one plan in each record, called by its bits."""
        pairs = zip(self.quantised, names, strict=True)
        return self._errors([record.result["plans"][name] for record, name in pairs])

    def _errors(self, misheard: Sequence[Any]) -> Adapted:
        domains = set(self.quantised[0].result["spoken"]["domains"])
        results = zip(self.quantised, misheard, strict=True)
        return Adapted.of([{**record.result, "misheard": of} for record, of in results], domains)


@dataclass(frozen=True)
class UsesRecords:
    """What has been measured of the uses; of a published profile some of it may be missing."""

    held_out: str
    quantised: QuantisedRecords | None
    groups: Mapping[Kind, UseGroup]

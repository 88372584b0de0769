"""Sentences on what ranks are good for: their numbers and their words follow from the records alone."""

from __future__ import annotations

from collections.abc import Mapping

from paper_lib.claims import points
from paper_lib.claims.federated_dropout import SAME
from paper_lib.federated.choices import EVEN, HIGH, LOW
from paper_lib.federated.comparison import Adapted
from paper_lib.inference import Estimate
from paper_lib.studies.use_records import RANKED_BY, QuantisedRecords

# Plans of bits that send as many bytes.
_SAME_BYTES = ("amb-low", "crit-low", "uniform-4")


def harmless(choices: Mapping[str, tuple[Adapted, Adapted]]) -> list[str]:
    """Returns the choices whose WER is, with confidence, less than a tenth above that of FedAvg.

    `choices` hold by name the errors after a choice and after FedAvg, of the same seeds and speakers.
    """
    return [
        name
        for name, (chosen, none) in choices.items()
        if none.less(chosen).mean.estimate().low > -SAME * none.mean.value
    ]


def cheapest(choices: Mapping[str, tuple[Adapted, Adapted]], sent: Mapping[str, int], whole: int) -> str:
    """Says which choices harm little, and which of them sends least.

    `sent` holds by name the bytes that a client receives and sends in a round, `whole` those of FedAvg.
    """
    kept = harmless(choices)
    found = (
        f"Of the {len(choices)} choices measured, {len(kept) or 'none'} {'stays' if len(kept) == 1 else 'stay'} with "
        f"confidence less than {100 * SAME:.0f} % above the WER of plain FedAvg"
    )
    if not kept:
        return f"{found}."
    least = min(kept, key=lambda name: sent[name])
    of_them = "" if len(kept) == 1 else "; of them least is sent"
    return (
        f"{found}{of_them}: {least}, with {sent[least] / 1e6:.1f} MB a client and round, down and up, in the place of "
        f"{whole / 1e6:.1f} MB."
    )


def against(what: str, worse: Adapted, better: Adapted) -> str:
    """Says how much more WER one of two choices gives; `what` names the two."""
    difference = worse.less(better).mean.estimate()
    return f"{what}: {points(difference)}, {_told(difference)}."


def after_training(quantised: QuantisedRecords) -> str:
    """Says what few bits do to a trained model when they go by importance, and when they go against it."""
    return _by_importance("After training", {name: quantised.heard(name) for name in _SAME_BYTES}, quantised.intact)


def in_rounds(heard: Mapping[str, Adapted]) -> str:
    """Says the same of clients that receive and send few bits; `heard` are errors by plan of bits, and "none": all."""
    return _by_importance("In the rounds, both ways", heard, heard["none"])


def _by_importance(when: str, heard: Mapping[str, Adapted], whole: Adapted) -> str:
    ambient, critical, even = (heard[name] for name in _SAME_BYTES)
    wers = [f"{100 * one.mean.value:.1f} %" for one in (ambient, critical, even, whole)]
    return (
        f"{when}, with {LOW} bits a weight in the more ambient half of the layers and {HIGH} in the other, the WER is "
        f"{wers[0]}; the other way round, at as many bytes, {wers[1]}; with {EVEN} bits everywhere {wers[2]}, and in "
        f"float32 {wers[3]}. "
        + against(f"{EVEN} bits everywhere less {LOW} in the ambient half, at as many bytes", even, ambient)
    )


def trained_alone(heard: Mapping[str, Adapted]) -> str:
    """Says what clients come to that train a quarter of the layers; `heard` are errors by which, and "none": all."""
    names = ("critical", "ambient", "none")
    critical, ambient, everything = (f"{100 * heard[name].mean.value:.1f} %" for name in names)
    return (
        f"Clients that train a quarter of the layers, the most critical ones, come to a WER of {critical}, with the "
        f"most ambient ones to {ambient}; with all layers to {everything}."
    )


def planned(heard: Mapping[str, Adapted]) -> str:
    """Says what Federated Dropout in three layers comes to by how they were chosen; `heard` are errors by plan."""
    cheap = [100 * heard[name].mean.value for name in RANKED_BY]
    ambient, lot, critical = (f"{100 * heard[name].mean.value:.1f} %" for name in ("amb-3", "random-3", "crit-3"))
    return (
        f"With dropout in three layers, the most ambient ones by resets, the WER is {ambient}; in those that the "
        f"{len(RANKED_BY)} cheap ranks name {min(cheap):.1f} to {max(cheap):.1f} %, by lot {lot}; in the most critical "
        f"ones {critical}."
    )


def _told(difference: Estimate) -> str:
    if difference.low > 0:
        return "so the first is the worse"
    return "so the second is the worse" if difference.high < 0 else "which does not tell them apart"

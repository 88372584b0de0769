"""What the chapter on uses says in short."""

from __future__ import annotations

from collections.abc import Mapping

from paper_lib.claims.use_sentences import after_training, against, cheapest, in_rounds, planned, trained_alone
from paper_lib.federated.accounting import SHORT, account
from paper_lib.federated.comparison import Adapted
from paper_lib.settings import TransducerSettings
from paper_lib.studies.use_records import KINDS, QuantisedRecords, Use, UsesRecords
from paper_lib.summaries.summary import Question, Summary
from paper_lib.summaries.words import counted, listed

_CALLED: Mapping[str, str] = {
    "bits": "few bits in the rounds",
    "trained": "some layers trained alone",
    "dropout": "dropout planned without resets",
}


def label(kind: str, name: str) -> str:
    """Returns what a choice is called beside those of other kinds."""
    return f"only {name}" if kind == "trained" else name


def mean_cost(use: Use, model: TransducerSettings) -> dict[str, int]:
    """Returns what a choice costs a client, mean over its draws by the first seed: bytes, and operations of a step."""
    accounts = [account(one.plan, model, *SHORT, one.bits, one.trained) for one in use.choices[: use.draws]]
    return {
        field: round(sum(getattr(one, field) for one in accounts) / len(accounts))
        for field in ("down", "up", "memory", "flops")
    }


def bytes_sent(records: UsesRecords, model: TransducerSettings) -> tuple[dict[str, int], int]:
    """Returns what a client receives and sends in a round by every choice, in bytes, and by FedAvg."""
    sent = {
        label(kind, use.name): cost["down"] + cost["up"]
        for kind, group in records.groups.items()
        for use in group.uses
        for cost in (mean_cost(use, model),)
    }
    whole = mean_cost(next(iter(records.groups.values())).none, model) if records.groups else {"down": 0, "up": 0}
    return sent, whole["down"] + whole["up"]


def summarise(
    heard: Mapping[str, Mapping[str, Adapted]],
    quantised: QuantisedRecords | None,
    sent: Mapping[str, int],
    whole: int,
) -> Summary:
    """Returns what is to be said of the word errors by the kind of a choice and its name, FedAvg ("none") first.

    `sent` holds by the label of a choice the bytes of a round, `whole` those of FedAvg.
    """
    choices = {
        label(kind, name): (errors, of_kind["none"])
        for kind, of_kind in heard.items()
        for name, errors in of_kind.items()
        if name != "none"
    }
    trainings = {_CALLED[kind]: len(of_kind["none"].errors) for kind, of_kind in heard.items()} | (
        {"few bits after training": len(quantised.quantised)} if quantised else {}
    )
    missing = [_CALLED[kind] for kind in KINDS if kind not in heard]
    told = listed(f"{counted(count, 'training')} ({name})" for name, count in trainings.items())
    by_rank = [say(heard[kind]) for kind, say in (("trained", trained_alone), ("dropout", planned)) if kind in heard]
    in_bits = in_rounds(heard["bits"]) if "bits" in heard else after_training(quantised) if quantised else ""
    rests_on = [*([f"Not measured yet: {listed(missing)}."] if missing else []), f"This rests on {told}."]
    sentences = (cheapest(choices, sent, whole) if choices else "", " ".join(by_rank), in_bits, " ".join(rests_on))
    return Summary(tuple(filter(None, sentences)), _questions(heard))


def _questions(heard: Mapping[str, Mapping[str, Adapted]]) -> tuple[Question, ...]:
    asked: tuple[tuple[str, str, str, str, str], ...] = (
        (
            "trained",
            "ambient",
            "critical",
            "Is it better to train the critical layers alone, or the ambient ones?",
            "Ambient layers trained alone less critical ones",
        ),
        (
            "dropout",
            "updates-3",
            "amb-3",
            "Does a plan need resets, or will what a server sees of its clients do?",
            "A plan from the first rounds less one from resets",
        ),
    )
    return tuple(
        Question(
            question,
            against(what, heard[kind][worse], heard[kind][better])
            if kind in heard
            else f"That has not been measured yet ({_CALLED[kind]}).",
        )
        for kind, worse, better, question, what in asked
    )

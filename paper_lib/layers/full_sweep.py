"""The sweep of resets over any model: a full evaluation of the model intact, and one under every reset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from paper_lib.evaluation import Spoken
from paper_lib.layers.applying import Weights, applied, check_redrawing, check_resets, watched
from paper_lib.layers.heard import HeardDirectory
from paper_lib.layers.places import ResetError, find_places
from paper_lib.layers.planning import Reset, plan_resets
from paper_lib.layers.results import SweepResult
from paper_lib.layers.variants import ALL_KINDS, KINDS, Kind, Variant

Transcribe = Callable[[nn.Module], Iterable[str]]


def plan(
    model: nn.Module,
    *,
    layers: str | Sequence[str],
    resets: Sequence[Kind] = KINDS,
    draws: int = 1,
    seed: int = 0,
) -> dict[Variant, Reset]:
    """Returns the resets that `sweep` makes with these arguments, in their order; raises ResetError."""
    if not resets or set(resets) - set(ALL_KINDS):
        raise ResetError(f"resets is {list(resets)}; it must be one or more of {', '.join(ALL_KINDS)}")
    if draws < 1:
        raise ResetError(f"draws is {draws}; it must be at least 1")
    places = find_places((name for name, _ in model.named_modules()), layers)
    return plan_resets(places, resets, draws, seed)


def sweep(
    model: nn.Module,
    *,
    layers: str | Sequence[str],
    transcribe: Transcribe,
    references: Sequence[str],
    speakers: Sequence[str],
    resets: Sequence[Kind] = KINDS,
    initial: Weights | None = None,
    draws: int = 1,
    seed: int = 0,
    ids: Sequence[str] | None = None,
    domains: Sequence[str] | None = None,
    directory: str | Path | None = None,
) -> SweepResult:
    """Evaluates `model` intact and with each of its layers reset in turn, and returns what was heard.

    The result is that of the book's own sweeps: `Sweeps.of([result.record()])` reads it, and rankings, intervals and
    figures take that. Of the model nothing is assumed but that it is a module of torch. It is left as it was, to the
    bit, also after an exception or Ctrl-C; meanwhile one copy of its weights is kept (see `as_it_was`).

    Args:
        layers: a pattern over the names of modules, "encoder.layers.*", whose `*` is the layer's place; or such a
            pattern with a part of the layer, "encoder.layers.*.self_attn"; or several; or a list of names. `LAYOUTS`
            has those of known toolkits.
        transcribe: maps the model to its texts, one for each of `references` and in their order. It is called once for
            the intact model and once for each reset, with the model in eval mode and without gradients, every time in
            the same state and with the same global random numbers.
        references: what was said, [utterances].
        speakers: who said it, [utterances]. Intervals draw speakers; where nobody is known, give every utterance a
            speaker of its own, and it counts as independent of the others.
        resets: the kinds that are made of every layer, see `Reset`.
        initial: the model's state dictionary at an earlier time, which re-initialisation takes: W(0), or where a
            fine-tuning began.
        draws: re-randomisations of every layer, each from a seed of its own that follows from `seed`.
        ids: names of the utterances; none: their places, "0", "1" and so on.
        domains: of the utterances; none: "" for all.
        directory: where what was heard is stored as it comes; a sweep that was interrupted goes on there. It belongs
            to this model, `initial`, test and resets; that `transcribe` is the same is up to the caller.

    Raises:
        ResetError: see `applied`; of names and `initial` all is checked before anything is evaluated, and of layers
            to be skipped while the intact model is. Or `transcribe` gives another number of texts, or no texts.
        ValueError: `directory` holds another sweep; the message says what differs.
    """
    planned = plan(model, layers=layers, resets=resets, draws=draws, seed=seed)
    spoken = _spoken(references, speakers, ids, domains)
    check_resets(planned.values(), model, initial)
    check_redrawing(planned.values(), model)
    stored = HeardDirectory(Path(directory), model, initial, spoken, planned.values()) if directory else None
    skipped = [reset.layer for reset in planned.values() if reset.kind == "skip"]
    hypotheses: dict[Variant | None, list[str]] = {}
    for variant in tqdm([None, *planned], desc="sweep", unit="evaluation"):
        reset = planned[variant] if variant else None
        heard = stored.heard(reset) if stored else None
        if heard is None:
            with applied(reset, model, initial) if reset else watched(skipped, model):
                heard = _evaluate(model, transcribe, len(references))
            if stored:
                stored.keep(reset, heard)
        hypotheses[variant] = heard
    return SweepResult(spoken, hypotheses)


def _spoken(
    references: Sequence[str], speakers: Sequence[str], ids: Sequence[str] | None, domains: Sequence[str] | None
) -> Spoken:
    count = len(references)
    fields = {
        "references": references,
        "speakers": speakers,
        "ids": range(count) if ids is None else ids,
        "domains": [""] * count if domains is None else domains,
    }
    if not any(reference.split() for reference in references):
        raise ResetError("references has no word; a word error rate needs some")
    for name, values in fields.items():
        if isinstance(values, str) or len(values) != count:
            raise ResetError(f"{name} has {len(values)} entries; references has {count}, and both must be as many")
    return Spoken(**{name: tuple(map(str, values)) for name, values in fields.items()})


@torch.no_grad()
def _evaluate(model: nn.Module, transcribe: Transcribe, count: int) -> list[str]:
    model.eval()
    heard = transcribe(model)
    texts = [heard] if isinstance(heard, str) else list(heard)
    if len(texts) != count or not all(isinstance(text, str) for text in texts):
        kinds = ", ".join(sorted({type(text).__name__ for text in texts})) or "nothing"
        raise ResetError(
            f"transcribe gave {len(texts)} results of type {kinds}; it must give {count} texts, of type str"
        )
    return texts

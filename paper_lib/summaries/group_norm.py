"""What the chapter on norms says in short."""

from __future__ import annotations

from collections.abc import Mapping

from paper_lib.claims import points, wer
from paper_lib.inference import Estimate, Floats, rate
from paper_lib.layers.ranking import intact_wer, reinitialised
from paper_lib.layers.sweeps import Sweeps
from paper_lib.summaries.summary import Question, Summary
from paper_lib.summaries.words import listed, rests_on, sentence, share_of_layers


def summarise(norms: Mapping[str, Sweeps], kept: Sweeps, size: str) -> Summary:
    """Returns what is to be said of the reset sweeps of models of one `size` by the name of their norm.

    `kept` are those of BatchNorm whose running statistics stay when a layer is reset.
    """
    batch = norms["BatchNorm"]
    norms = {name.replace(", ", " of "): sweeps for name, sweeps in norms.items()}  # of 8 groups
    ambient = {name: _ambient(sweeps) for name, sweeps in norms.items()}
    layers = len(kept.units)
    (first, count), *others = ambient.items()
    by_norm = listed(
        [
            f"{share_of_layers(count, layers)} with {first}",
            *(f"{count or 'none'} of {layers} with {name}" for name, count in others),
        ]
    )
    most = max(ambient, key=lambda name: ambient[name])
    intact = listed(f"{wer(intact_wer(sweeps))} with {name}" for name, sweeps in norms.items())
    mean = listed(
        f"{points(rate(_added(sweeps), sweeps.words).estimate())} with {name}" for name, sweeps in norms.items()
    )
    statistics = rate(_added(batch) - _added(kept), batch.words).estimate()
    sentences = [
        sentence(f"{by_norm} {'are' if sum(ambient.values()) != 1 else 'is'} ambient, in models of size {size}."),
        f"Averaged over layers, a re-initialisation changes the WER by {mean}.",
        f"If BatchNorm keeps its running statistics when its layer is reset, {_ambient(kept) or 'none'} "
        f"{'is' if _ambient(kept) == 1 else 'are'} ambient.",
        rests_on(norms),
    ]
    return Summary(
        tuple(sentences),
        (
            Question(
                "How much of BatchNorm's harm comes from its running statistics, which are reset with the layer?",
                f"To reset them too, and not only the weights, changes the WER by {points(statistics)}, mean over "
                f"layers: {_harm_of_statistics(statistics)}.",
            ),
            Question(
                "Is a norm with more ambient layers also the better recogniser?",
                f"The WER of the intact model is {intact}. No norm has more ambient layers than {most}, which has "
                f"{ambient[most]} of {layers}.",
            ),
        ),
    )


def _harm_of_statistics(change: Estimate) -> str:
    if change.low > 0:
        return "part of the harm is theirs"
    return "kept, they do harm of their own" if change.high < 0 else "which does not tell whether any of it is theirs"


def _ambient(sweeps: Sweeps) -> int:
    return sum(effect.classification == "ambient" for effect in reinitialised(sweeps))


def _added(sweeps: Sweeps) -> Floats:
    """Returns the errors that a re-initialisation adds, mean over layers, [trainings, speakers]."""
    mean: Floats = sweeps.added("re-initialisation").mean(1)
    return mean

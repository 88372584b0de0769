"""What chapters without a summary of their own say in short: how the book is made, checked and used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from paper_lib.claims import Finding, points, wer
from paper_lib.conformer.sizes import SLIDE, ParameterCount, millions
from paper_lib.corpus.survey import Survey
from paper_lib.figures.costs import others
from paper_lib.inference import Estimate
from paper_lib.layers.ranking import CLASSES, LayerEffect
from paper_lib.summaries.words import counted, listed, sentence


def corpus_in_short(surveys: Mapping[str, Survey]) -> list[str]:
    """Says how much speech there is by split, and whether the test has new sentences and new voices."""
    train, test = surveys["train"], surveys["test"]
    sentences, speakers = (len(getattr(train, of) & getattr(test, of)) for of in ("sentences", "speakers"))
    looked = "" if train.complete and test.complete else ", of what was looked at"
    return [
        f"Models learn from {_speech(train)} and are tested on {_speech(test)}.",
        f"{counted(sentences, 'sentence') if sentences else 'No sentence'} of the test "
        f"{'is' if sentences < 2 else 'are'} heard in training, and {speakers or 'none'} of its "
        f"{counted(len(test.speakers), 'voice')}{looked}.",
        f"The test has {counted(len(test.words), 'different word')}, {len(test.words - train.words) or 'none'} of them "
        "new.",
    ]


def _speech(part: Survey) -> str:
    hours = f"{part.hours:.2f}" if part.complete else f"about {part.hours:.0f}"
    return f"{hours} hours of speech ({part.total:,} utterances)"


def model_in_short(
    profile: str, own: Mapping[str, ParameterCount], paper: Mapping[str, ParameterCount], feed_forward: Sequence[float]
) -> list[str]:
    """Says how the models that are counted compare with the paper's, and where a layer has its parameters.

    `own` are the counts of a profile's sizes, `paper` those of our models of the paper's sizes; `feed_forward` are
    shares of a layer's parameters.
    """
    totals = listed(f"{size} {millions(count.total)}" for size, count in paper.items())
    same = all(millions(count.total) == SLIDE[size][2] for size, count in paper.items())  # type: ignore[index]
    here = listed(f"{size} {millions(count.total, 2)}" for size, count in own.items())
    low, high = (f"{100 * share:.0f} %" for share in (min(feed_forward), max(feed_forward)))
    return [
        f"Built from the paper's description, its three sizes have {totals} parameters, "
        f"{'as the paper prints' if same else 'not all as the paper prints'}.",
        f"The models of profile {profile} have {here}.",
        f"The two feed-forward modules hold {low if low == high else f'{low} to {high}'} of a layer.",
    ]


def costs_in_short(rows: Sequence[Mapping[str, Any]], exponents: Mapping[str, float]) -> list[str]:
    """Says how often and by how much other code is slower than the book's, on one thread, and what grows fastest.

    `rows` are those of the benchmark's record, `exponents` those of time by what grows.
    """
    ratios = {
        group: [line["ratio"] for row in rows if row["group"] == group and row["threads"] == 1 for line in others(row)]
        for group in ("encoder", "loss", "decoding", "federated")
    }
    every = [ratio for of_group in ratios.values() for ratio in of_group]
    called = {"federated": "federated rounds"}
    spans = listed(f"{min(of):.1f} to {max(of):.1f} ({called.get(group, group)})" for group, of in ratios.items() if of)
    steepest = max(exponents, key=lambda name: exponents[name])
    return [
        f"Other code is slower than ours in {sum(ratio > 1 for ratio in every)} of {counted(len(every), 'comparison')} "
        "on one thread.",
        f"It takes so many times as long as ours: {spans}.",
        f"When the work grows, time grows at most with the power {exponents[steepest]:.1f}, that of {steepest}.",
    ]


def coverage_in_short(found: Mapping[str, Any]) -> list[str]:
    """Says how many of the simulated intervals of 95 % hold, and how often tests at 5 % reject what is true."""
    by_trainings: dict[str, list[float]] = {}
    for line in found["intervals"]:
        count = line["trainings"]
        name = "one training" if count == 1 else "two trainings" if count == 2 else "three or five trainings"
        by_trainings.setdefault(name, []).append(line["of_95"])
    hold = listed(f"{100 * min(of):.0f} to {100 * max(of):.0f} % with {name}" for name, of in by_trainings.items())
    wrong = [100 * line["rejects"] for line in found["tests"]]
    return [
        sentence(f"of the intervals that promise 95 %, {hold} hold the true value in simulation."),
        f"Of the tests at 5 %, {min(wrong):.1f} to {max(wrong):.1f} % find something where there is nothing.",
        f"That is from {found['draws']:,} simulated experiments a setting, with speakers and trainings as unequal as "
        "real ones.",
    ]


def slides_in_short(claims: int, found: Mapping[str, Sequence[Finding]]) -> list[str]:
    """Says how many of the slides' claims are judged on each kind of speech, and with which verdicts."""
    told = [f"The slides make {counted(claims, 'claim')} that can be measured."]
    for speech, findings in found.items():
        counts = Counter(finding.verdict for finding in findings).most_common()
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts)
        told.append(
            f"On {speech} {len(findings)} of them are judged: {verdicts}."
            if findings
            else f"On {speech} none of them is judged yet."
        )
    return told


def sweep_in_short(model: str, intact: Estimate, effects: Sequence[LayerEffect]) -> list[str]:
    """Says of one sweep of re-initialised layers how many are of which class, and which costs most and least."""
    classes = Counter(effect.classification for effect in effects)
    counts = listed(f"{classes[name] or 'none'} {'is' if classes[name] < 2 else 'are'} {name}" for name in CLASSES)
    most, least = (end(effects, key=lambda effect: effect.change.value) for end in (max, min))
    return [
        f"{model} has a WER of {wer(intact)}; of its {len(effects)} layers {counts}.",
        f"The reset of layer {most.layer} costs most, {points(most.change)}, and that of layer {least.layer} least, "
        f"{points(least.change)}.",
    ]


def scale_in_short(hours: Mapping[str, float], speed: float) -> list[str]:
    """Says how many hours profiles take a GPU of an assumed `speed`, in operations a second, and on what they run."""
    wants = listed(f"{name} takes {of_profile:,.0f}" for name, of_profile in hours.items())
    return [
        f"On a GPU that does {speed / 1e12:.0f} · 10¹² operations a second, which is assumed, profile {wants} hours.",
        "The same commands run on a Ray cluster, one training on several devices by torchrun, and federated learning "
        "on devices of their own by Flower.",
        "All three were tested with processes on one machine, and on several machines none of them yet.",
    ]

# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Uses
#
# You will know what a ranking of layers is good for, and what each use costs and saves a phone.

# %% tags=["parameters", "hide-input"]
profile = "quick"

# %% tags=["hide-input"]
from paper_lib.chapters import begin

chapter = begin("uses", globals())

# %% tags=["remove-input", "in-short"]
from paper_lib.summaries import summarised

summary = summarised("uses", dict(chapter.parameters))
summary.in_short

# %% tags=["hide-input"]
from paper_lib.profiles import profile_of
from paper_lib.studies import uses
from paper_lib.studies.beyond import profile_beyond

beyond = profile_beyond(profile_of(chapter.parameters.profile))
records = uses(beyond).records()

# %% tags=["hide-input"]
from paper_lib.claims.findings import heard_by_use, judge_uses
from paper_lib.federated.accounting import SHORT
from paper_lib.summaries.uses import label, mean_cost

model = beyond.adaptation.model
heard = heard_by_use(records)
costs = {
    label(kind, use.name): mean_cost(use, model)
    for kind, group in records.groups.items()
    for use in group.uses
}
pairs = {
    label(kind, name): (errors, of_kind["none"])
    for kind, of_kind in heard.items()
    for name, errors in of_kind.items()
    if name != "none"
}
whole = (
    mean_cost(next(iter(records.groups.values())).none, model)
    if records.groups
    else None
)
trainings = max((len(group.before) for group in records.groups.values()), default=0)

# %% [markdown]
# **The question.** The paper (under *Motivation*) names three uses of a ranking of layers: train only the most
# important ones, compress the least important ones, and allocate the bits that are sent by importance. It measures
# one, {doc}`federated_dropout`. Here are the others, beside it. And does it take resets to plan, or will a cheaper
# ranking do?
#
# **Method.** {term}`Clients <client>` adapt their first model, as on that page: same settings, same clients, batches
# and seeds. Each time one thing is changed.
#
# - *Few bits*: a client receives weights and sends updates that are {term}`quantised <quantisation>`.
# - *Some layers alone*: a client receives all of the model and trains a quarter of its layers
#   ({term}`partial variable training`, {cite}`yang2022partial`).
# - *Dropout*: half of the units of three layers, a tenth elsewhere, with layers chosen by other ranks than resets.

# %% tags=["hide-input"]
from paper_lib.figures.markup import paragraph

not_yet = f"Profile {beyond.name} has not measured this yet."
paragraph(
    f"This page shows profile {beyond.name}"
    + (
        "."
        if beyond.name == profile_of(chapter.parameters.profile).name
        else f", for {profile_of(chapter.parameters.profile).name} measures none of it."
    ),
    "Not measured yet: "
    + ", ".join(
        name
        for kind, name in (
            ("bits", "few bits in the rounds"),
            ("trained", "some layers alone"),
            ("dropout", "dropout by other ranks"),
        )
        if kind not in heard
    )
    + "."
    if len(heard) < 3
    else "All three kinds of choices have been measured.",
)

# %% [markdown]
# ## What each choice costs and saves

# %% tags=["hide-input"]
from paper_lib.figures.style import show
from paper_lib.figures.uses import Cost, costs_and_wers, wer_by_bytes
from paper_lib.summaries.captions import close_to_fedavg

KEPT = ("down", "up", "memory")
drawn = {}
if heard:
    most = max(records.groups, key=lambda kind: len(records.groups[kind].before))
    drawn["FedAvg"] = Cost(
        "none",
        heard[most]["none"].mean.estimate(),
        **{field: whole[field] for field in KEPT},
    )
    for kind, of_kind in heard.items():
        for name, errors in of_kind.items():
            if name != "none":
                cost = costs[label(kind, name)]
                drawn[label(kind, name)] = Cost(
                    kind,
                    errors.mean.estimate(),
                    **{field: cost[field] for field in KEPT},
                )
varied = (f"{trainings} trainings and " if trainings > 1 else "one training, over ") + (
    f"{len(next(iter(pairs.values()))[0].words)} speakers" if pairs else ""
)
show(
    costs_and_wers(drawn),
    caption=f"{close_to_fedavg(pairs)} "
    "WER on the held-out domain after the adaptation, with 95 % intervals "
    f"({varied}), and what a client pays for it: bytes received and sent in a round, and the memory of a training step "
    f"on {SHORT[0]} s of speech. Dashed: FedAvg of the whole model in float32. Intervals of differences, which are "
    "paired, are narrower; they stand in the tables below.",
    alt=f"{close_to_fedavg(pairs)} "
    "A row for each choice: its word error rate with an interval, and bars of bytes down, bytes up and memory.",
    name="uses-costs",
) if drawn else paragraph(not_yet, name="uses-costs")

# %% tags=["hide-input"]
show(
    wer_by_bytes(drawn),
    caption="The same, WER over cost: left, what a client receives and sends in a round; right, the "
    "memory of its step. Lower left is better.",
    alt="Two scatter plots of word error rate, over bytes sent and over memory, with a mark for every choice.",
    name="uses-bytes",
) if drawn else None

# %% [markdown]
# ## Few bits, after training
#
# First without clients. The matrices and kernels of the layers of a trained model are rounded: uniform, symmetric
# {term}`quantisation` with one scale for each row. With 2 bits a weight is −1, 0 or 1 times the scale. Biases and norms
# stay as they are, and so do the subsampling, the prediction and the joint network. *amb-low* has 2 bits in the more
# {term}`ambient <ambient layer>` half of the layers and 6 in the other: as many bytes as *uniform-4*. *crit-low* is the
# reverse, *lot-low* draws the half by lot. The ranking is that of resets on *dev* speech, and the WER is that of the
# test: what chooses does not judge.

# %% tags=["hide-input"]
from paper_lib.federated.choices import BITS
from paper_lib.figures.uses import alone_by_harm, wers_of_bits
from paper_lib.layers.agreement import association
from paper_lib.summaries.captions import bits_by_half

quantised = records.quantised
if quantised:
    of_bits = {"float32": quantised.intact} | {
        name: quantised.heard(name) for name in BITS
    }
show(
    wers_of_bits(
        {name: errors.mean.estimate() for name, errors in of_bits.items()},
        {"lot-low": quantised.drawn("lot-low")},
    ),
    caption=f"{bits_by_half(quantised)} "
    "WER on the test of models of size S with their layers' matrices in few bits, 95 % intervals over "
    f"{len(quantised.quantised)} training{'s' if len(quantised.quantised) > 1 else ''} and "
    f"{len(quantised.intact.words)} speakers. The last three and uniform-4 have the same bytes. Diamond, dashed: "
    "float32. Grey: every half by lot of every training.",
    alt=f"{bits_by_half(quantised)} "
    "A row for each plan of bits with the word error rate and its interval.",
    name="uses-bits",
) if quantised else paragraph(not_yet, name="uses-bits")

# %% tags=["hide-input"]
from paper_lib.claims.use_sentences import after_training
from paper_lib.summaries.captions import halves

paragraph(after_training(quantised), halves(quantised)) if quantised else None

# %% [markdown]
# Is a layer that can be reset also one that can do with 2 bits? Each layer was rounded alone, too.

# %% tags=["hide-input"]
from paper_lib.claims import p_text

if quantised:
    harm, alone = quantised.harm(), quantised.alone()
    plain, at_depth = (
        association(harm, alone, given_depth=given) for given in (False, True)
    )
show(
    alone_by_harm(harm.mean(0), alone.mean(0)),
    caption="WER that 2 bits in one layer add on the test, over what its reset adds on dev speech, in points; numbers "
    "are layers. The scales are linear up to 1 point and logarithmic beyond. "
    f"Spearman's ρ = {plain[0]:.2f} ({p_text(plain[1])}), at fixed depth {at_depth[0]:.2f} "
    f"({p_text(at_depth[1])}); the units are the {harm.shape[1]} layers.".replace(
        " -", " −"
    ),
    alt="A scatter plot of layers: word errors added by two bits over word errors added by a reset.",
    name="uses-alone",
) if quantised else None

# %% [markdown]
# ## Few bits, in the rounds
#
# Now both ways are rounded. What a client receives is rounded to the nearest level. What it sends is rounded up or down
# at random, so that the mean over clients is right. {term}`Error feedback` is a setting of the library; here it is off.

# %% tags=["hide-input"]
from paper_lib.figures.tables import percent, table


def compared(kind, better):
    """Returns a row per choice of a kind: its WER, and how much it lies above FedAvg and above `better`, paired."""
    of_kind = heard[kind]
    return [
        (
            label(kind, name) if name != "none" else "FedAvg",
            percent(errors.mean.estimate()),
            "–"
            if name == "none"
            else percent(errors.less(of_kind["none"]).mean.estimate(), sign=True),
            "–"
            if name in ("none", better)
            else percent(errors.less(of_kind[better]).mean.estimate(), sign=True),
            *(
                f"{(whole if name == 'none' else costs[label(kind, name)])[field] / scale:.1f}"
                for field, scale in (
                    ("down", 1e6),
                    ("up", 1e6),
                    ("memory", 1e6),
                    ("flops", 1e6),
                )
            ),
        )
        for name, errors in of_kind.items()
    ]


def columns(better):
    return [
        "Choice",
        "WER, % [95 %]",
        "− FedAvg, points",
        f"− {better}, points",
        "Down, MB",
        "Up, MB",
        "Memory, MB",
        "MFLOP",
    ]


PAIRED = (
    "Differences are paired by seed and speaker; bytes are of a client and a round, memory and operations of a step on "
    f"{SHORT[0]} s of speech. Each interval stands for itself."
)
table(
    compared("bits", "amb-low"),
    columns("amb-low"),
    f"Few bits for weights and updates. {PAIRED} Few bits save bytes alone: a client computes in float32.",
) if "bits" in heard else paragraph(not_yet)

# %% [markdown]
# ## Only some layers
#
# A quarter of the layers is trained, by a client that holds all of them. Nothing is sent back of the others, no
# gradient of them is kept, and below the lowest trained layer no activation. So which layers are chosen decides what it
# costs: the last ones are the cheapest. All choices train as many parameters.

# %% tags=["hide-input"]
if "trained" in heard:
    by_name = {use.name: use for use in records.groups["trained"].uses}
    same_as_last = all(
        {*critical.trained} == {*last.trained}
        for critical, last in zip(
            by_name["critical"].choices, by_name["last"].choices, strict=True
        )
    )
table(
    compared("trained", "critical"),
    columns("only critical"),
    f"Some layers trained alone, all others, the subsampling and the decoder frozen. {PAIRED} Layers, first seed: "
    + "; ".join(
        f"{use.name} {', '.join(map(str, use.choices[0].trained))}"
        for use in records.groups["trained"].uses
    )
    + "."
    + (
        " The critical ones are the last ones: rank is not told from depth."
        if same_as_last
        else ""
    ),
) if "trained" in heard else paragraph(not_yet)

# %% [markdown]
# ## Dropout planned without ablations
#
# A reset ranking takes an evaluation for every layer, on speech that a server may not have. The cheap ranks of
# {doc}`cheaper_ranks` take less, and each names three layers to drop in:
#
# - *signature-3* those whose matrices moved least in the first training ({term}`numerical signature`), *relative-3*
#   those that moved least beside their initial norm: both are known when it ends;
# - *influence-3* those that turn what goes through them least, *gradient-3* and *fisher-3* those with the smallest
#   gradient and {term}`Fisher information`, on 100 utterances of dev speech;
# - *updates-3* those that clients move least in the first quarter of the rounds of FedAvg, and *agreement-3* those
#   about which they agree least: every server sees it, and a plan that rests on it begins after these rounds.
#
# *low-3* takes the first layers, *amb-3* and *crit-3* go by resets, *random-3* is the mean of five draws. Ranks that
# name the same three layers are one plan, measured once.

# %% tags=["hide-input"]
table(
    compared("dropout", "amb-3"),
    columns("amb-3"),
    f"Three layers at 50 %, a tenth elsewhere: as many parameters in all plans. {PAIRED}",
) if "dropout" in heard else paragraph(not_yet)

# %% tags=["hide-input"]
import numpy as np

from paper_lib.figures.tables import p_value
from paper_lib.studies.use_records import RANKED_BY

if "dropout" in heard:
    ranked = records.groups["dropout"].rankings

    def places(source):
        """Returns the place of every layer in a ranking, [seeds, layers]."""
        return np.array(
            [
                [of[source].index(layer) for layer in sorted(of[source])]
                for of in ranked
            ],
            float,
        )

    rows = []
    for plan, source in RANKED_BY.items():
        agreement = [
            association(places(source), places("resets"), given_depth=given)
            for given in (False, True)
        ]
        rows.append(
            (
                f"{source} ({plan})",
                *(text for rho, p in agreement for text in (f"{rho:.2f}", p_value(p))),
                ", ".join(map(str, sorted(ranked[0][source][:3]))),
            )
        )
table(
    rows,
    ["Ranking", "ρ", "p", "ρ at fixed depth", "p", "Three most ambient"],
    "How far cheap rankings are that of resets: Spearman's ρ over layers, mean over seeds, plain and with what a "
    "parabola in depth tells taken out; each p stands for itself. By resets the three most ambient are "
    f"{', '.join(map(str, sorted(ranked[0]['resets'][:3])))}. Layers are of the first seed.",
) if "dropout" in heard else None

# %% [markdown]
# ## What the paper promises, and what lies beyond

# %% tags=["hide-input"]
from paper_lib.claims.uses import judge_beyond
from paper_lib.figures.claims import beyond_table, claims_table

claims_table(
    judge_uses(records),
    "The uses that the paper names under “Motivation”, beside this page's measurements; verdicts are computed from the "
    "records.",
)

# %% tags=["hide-input"]
beyond_table(
    judge_beyond(heard.get("dropout", {})),
    "Beyond the paper: our own questions, with verdicts by the same rules.",
)

# %% [markdown]
# ## What this does not show
#
# - The subsampling, the prediction and the joint network are sent in float32 whatever the bits. In a small model they
#   are a large part of the bytes.
# - The more ambient half of the layers is not anywhere in the stack: most of the critical ones are near its ends. Bits
#   by depth were not tried as a plan of their own, and halves by lot are no match for them.
# - Rounding is the plainest there is. Training that knows of the rounding, other groups of weights than rows, or error
#   feedback may make 2 bits do where they do not here.
# - In *updates-3* and *agreement-3* what clients answered comes from a run of FedAvg, and the plan holds from the
#   first round of another. A server would have spent those rounds on the whole model.
# - Of many plans the lowest looks good by chance, too: intervals stand for themselves, and no plan was chosen by them.
# - All choices share the rates that were chosen for FedAvg. A client that trains four layers may do with a larger one.
# - One choice at a time: bits, frozen layers and dropout can be combined, and here they are not.
#
# The planner in {doc}`comparable_plans` adds up what any mixture of the three saves.
#
# ## Ask yourself

# %% tags=["remove-input"]
summary.questions

# %% [markdown]
# ## Run it again
#
# ```
# python -m paper_lib chapter uses -p profile smoke
# python -m paper_lib records --profile laptop --make
# ```

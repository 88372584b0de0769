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
# # Federated Dropout
#
# You will know what clients save when they train a part of each layer, and whether it pays to spare the ambient layers.

# %% tags=["parameters", "hide-input"]
profile = "quick"
seeds = None
plans = [
    "none",
    "flat",
    "crit-2",
    "crit-3",
    "crit-4",
    "amb-2",
    "amb-3",
    "amb-4",
    "low-2",
    "low-3",
    "low-4",
    "high-2",
    "high-3",
    "high-4",
    "flat-2",
    "flat-3",
    "flat-4",
    "random-3",
]
own = None
elsewhere = 0.1
rounds = None
masks = "client"

# %% tags=["hide-input"]
from paper_lib.chapters import begin

chapter = begin("federated_dropout", globals())

# %% tags=["remove-input", "in-short"]
from paper_lib.summaries import summarised

summary = summarised("federated_dropout", dict(chapter.parameters))
summary.in_short

# %% tags=["hide-input"]
from paper_lib.profiles import profile_of
from paper_lib.studies import federated_dropout

chosen = chapter.parameters
profile_settings = profile_of(chosen.profile)
second = profile_settings.adaptation
study = federated_dropout(
    profile_settings,
    chosen.seeds,
    chosen.plans,
    chosen.own,
    chosen.elsewhere,
    chosen.rounds,
    chosen.masks,
)
records = study.records()

# %% tags=["hide-input"]
from paper_lib.claims.findings import adapted_by, adapted_by_plan
from paper_lib.claims.sentences import ambient_layers
from paper_lib.federated.comparison import Adapted
from paper_lib.figures.markup import paragraph
from paper_lib.layers.ranking import intact_wer, reinitialised
from paper_lib.layers.sweeps import Sweeps

SF = second.held_out
MD = [domain for domain in second.corpus.domains if domain != SF]
# FedAvg without dropout, or whichever plan was asked for first.
reference = next(
    (plan for plan in records.plans if plan.name == "none"), records.plans[0]
)
adapted = adapted_by_plan(records, (SF,))
before = Adapted.of([record.result for record in records.before], (SF,)).mean
resets = [record.result for record in records.resets]
together = reinitialised(Sweeps.of(resets))
paragraph(
    "The pay-off: if some layers hardly matter, phones that help to train a recogniser need not train all of it. That "
    "takes a model that has such layers.",
    ambient_layers(together, intact_wer(Sweeps.of(resets))),
)

# %% [markdown]
# **The paper's claim** (under *Applications: Federated Dropout*): a {term}`streaming <streaming model>`
# {term}`Conformer` is trained on many domains (MD) without one of them, short-form speech (SF).
# {term}`Clients <client>` then teach it SF by federated learning. To drop half of the units of
# {term}`ambient <ambient layer>` layers costs less {term}`WER` than to drop them in {term}`critical <critical layer>`
# layers, at the same number of parameters; and against flat dropout one can drop more at the same WER.
#
# **Method.** The paper's second experiment in miniature: train on MD − SF, rank the layers by resets, adapt to SF by
# every {term}`plan` with common random numbers, compare in pairs where plans drop the same number of parameters. The
# paragraph above is computed from the {term}`records <record>`, as all sentences on this page that tell what was
# measured are. Where it finds fewer than *N* ambient layers, "Amb-*N*" means the *N* least critical ones.
#
# **One primary comparison, named before the numbers.** *Crit-N less Amb-N*, the WER on SF averaged over *N* = 2, 3
# and 4: one contrast for every {term}`seed`, one test. All other comparisons are secondary. They are tested together
# (Holm), so that a striking one among many does not count for more than it is.

# %% [markdown]
# ## The setting
#
# A *client* is one speaker with their own short utterances, so no two have the same distribution. In a {term}`round`
# some clients are drawn, each receives the model (or, with dropout, a physically smaller {term}`sub-model`), trains it
# on its own speech and sends back by how much its weights have moved. The server {term}`averages <federated averaging>`
# per coordinate over the clients that trained it, and takes a step of Adam along the mean (FedAdam).

# %% tags=["hide-input"]
from collections import Counter

import numpy as np

from paper_lib.corpus import open_corpus
from paper_lib.figures.tables import percent, table

frames, counted, speakers = Counter(), Counter(), {}
corpora = [
    open_corpus(settings) for settings in (second.corpus, second.clients) if settings
]
for corpus, k in [(one, k) for one in corpora for k in range(one.shards("train"))]:
    for utterance in corpus.shard("train", k).utterances:
        frames[utterance.domain] += utterance.frames
        counted[utterance.domain] += 1
        speakers.setdefault(utterance.domain, set()).add(utterance.speaker)
everything = sum(frames.values())


def view(name, domains, paper):
    hours = sum(frames[domain] for domain in domains) / 360_000
    heard = set().union(*(speakers[domain] for domain in domains))
    share = f"{100 * 360_000 * hours / everything:.1f} %"
    return (
        name,
        sum(counted[domain] for domain in domains),
        f"{hours:.2f}",
        share,
        len(heard),
        paper,
    )


table(
    [
        view("MD", [*MD, SF], "400k (100 %)"),
        view("SF", [SF], "27k (6.8 %)"),
        view("MD − SF", MD, "373k (93.2 %)"),
    ],
    [
        "View",
        "Utterances",
        "Hours",
        "Share of the time",
        "Speakers",
        "Hours in the paper",
    ],
    f"Three views of the training speech. SF: {SF}. MD − SF: {', '.join(MD)}. The tokens are learnt on MD − SF alone.",
)

# %% tags=["hide-input"]
federated = study.federated
# The seeds from which settings are varied, further below.
few = (
    records.before[: len(records.sensitivity["server rate"][1.0][0].adaptations)]
    if records.sensitivity
    else ()
)
table(
    [
        ("rounds", federated.rounds),
        ("clients", records.plans[0].adaptations[0].result["clients"]),
        ("clients per round", federated.clients_per_round),
        ("local epochs", federated.local_epochs),
        ("client learning rate (SGD)", str(federated.client_learning_rate)),
        (
            "server",
            f"{federated.server.kind}, learning rate {federated.server.learning_rate}",
        ),
        ("masks", f"one for every {federated.masks}"),
        ("seeds", f"{len(records.before)}; with settings varied {len(few)}"),
        ("weight of a client", "its number of utterances"),
    ],
    ["Setting", "Value"],
    "The federated training, the same in every plan. Settings were chosen on dev speech.",
)

# %% [markdown]
# ## A streaming model
#
# The recogniser must answer while one speaks: convolutions see the past alone, attention looks back over a bounded
# {term}`left context`, normalisation takes its statistics from the frame, and the convolution comes before the
# attention (Li et al. 2021). So it can be fed 100 ms at a time, with the state of every layer carried along, and gives
# the same numbers as all at once. Below, one test sentence arrives in pieces.

# %% tags=["hide-input"]
from IPython.display import display

from paper_lib.conformer.streaming import listen
from paper_lib.figures.sound import player
from paper_lib.profiles.shipped import shipped_run
from paper_lib.results import machine
from paper_lib.widgets.shipped import model_at_hand

streams = second.model.encoder.streaming is not None
base, model, tokenizer = model_at_hand(second.run(0) if streams else shipped_run())
whose = (
    "The model of this page"
    if base == second.run(0)
    else "The small model that comes with the library, for the page's own "
    + ("is not in this cache" if streams else "hears a sentence as a whole")
)
tested = open_corpus(base.corpus, base.domains)
utterance = max(
    tested.shard("test", 0).utterances[:20], key=lambda utterance: utterance.frames
)
waveform = tested.waveform(utterance.id)
heard = list(listen(model, tokenizer, waveform))
display(player(waveform, f"the test sentence: {utterance.text}"))
busy = 1000 * np.array([piece.computing for piece in heard])
table(
    [
        (f"{piece.seconds:.1f}", piece.text or "–", f"{1000 * piece.computing:.0f}")
        for piece in heard
    ],
    ["Heard, s", "Recognised so far", "Computing, ms"],
    f"{whose}. Said: “{utterance.text}”. Each row is 100 ms more of speech. Computing took {np.median(busy):.0f} ms a "
    f"piece in the median and {busy.max():.0f} ms at most, on {machine()['cpu']}: that, and the 100 ms of the piece, "
    "is how long a word takes once the model is sure of it.",
)

# %% [markdown]
# ## The ranking
#
# Each layer of the model that was trained on MD − SF is {term}`re-initialised <re-initialisation>` in turn, and *dev*
# speech of MD − SF is recognised: the test speech chooses nothing. The WER change ranks the layers from ambient to
# critical.

# %% tags=["hide-input"]
from paper_lib.claims.model_size import tally
from paper_lib.figures.resets import change_intervals
from paper_lib.figures.style import show

effects = {
    f"seed {record.provenance['seeds'][0]}": reinitialised(Sweeps.of([record.result]))
    for record in records.resets
}
show(
    change_intervals(effects),
    caption="WER change by the re-initialisation of one layer of the streaming model, on dev speech of MD − SF. "
    f"Intervals over {len(Sweeps.of(resets).words)} speakers, 95 % for all layers of a model together. All trainings "
    f"taken together: {tally(together)}.",
    alt="For each layer of the streaming model the interval of the change in word error rate by its reset.",
    name="streaming-ranking",
)

# %% [markdown]
# Does the ranking say more than where a layer stands? If the most critical layers are always the last ones, a plan by
# rank is a plan by depth. Hence the controls: *low-N* and *high-N* choose by depth alone.

# %% tags=["hide-input"]
from paper_lib.layers.agreement import spearman

depth = np.arange(1.0, second.model.encoder.layers + 1)
table(
    [
        (
            f"seed {seed}",
            " ".join(map(str, ranking)),
            f"{spearman(np.array(ranking, float), depth):.2f}".replace("-", "−"),
        )
        for seed, ranking in enumerate(records.rankings)
    ],
    ["Training", "Layers, the most ambient first", "ρ of rank and depth"],
    "The rankings that the plans use, and how far they are the order of the layers from input to output.",
)

# %% [markdown]
# The paper shows a *dip* of the {term}`numerical signature` at the least critical layer of the streaming model, and
# strong variation in two attention weights.

# %% tags=["hide-input"]
from paper_lib.figures.signatures import signature_maps
from paper_lib.layers.matrices import ATTENTION, MATRICES
from paper_lib.layers.signature import signature, spread

signatures = {
    f"seed {record.provenance['seeds'][0]}": signature(record.result)
    for record in records.trainings
}
least = dict(zip(signatures, Sweeps.of(resets).harm().argmin(axis=1) + 1, strict=True))
trained = [record.result for record in records.trainings]
variation = {
    matrix: float(np.mean([spread(signature(result, (matrix,))) for result in trained]))
    for matrix in ATTENTION
}
show(
    signature_maps(signatures, MATRICES),
    caption="Numerical signatures of the streaming model at the end of training. Least critical layer: "
    + ", ".join(f"{layer} ({name})" for name, layer in least.items())
    + ". How unequally layers moved (0: alike) in the attention weights: "
    + ", ".join(
        f"{matrix.partition('.')[2]} {value:.2f}" for matrix, value in variation.items()
    )
    + ".",
    alt="A heat map of weight matrices by layers with the relative distance from initialisation, for each training.",
    name="streaming-signature",
)

# %% [markdown]
# ## What is dropped
#
# {term}`Federated Dropout` takes hidden units out of the two feed-forward modules of a layer: rows of the first matrix,
# columns of the second. The client's model takes less memory, fewer bytes to send and less time. The paper drops 50 %
# in *N* layers; a {term}`base rate` in all others is a reading of its numbers (see below), `elsewhere` sets it.

# %% tags=["hide-input"]
from paper_lib.figures.federated import dropped_shares

show(
    dropped_shares([plan.plans[0] for plan in records.plans], records.rankings[0]),
    caption="Share of the feed-forward units that each plan drops, seed 0; of random-N the first draw.",
    alt="A grid of plans by layers with the share of units dropped.",
    name="dropped",
)

# %% [markdown]
# ## WER round by round
#
# Plans that learn more slowly look worse than they are where the rounds end too early. So the end must be flat: the
# sentence below the figure is the check.

# %% tags=["hide-input"]
from paper_lib.figures.federated import adaptation_curves
from paper_lib.results import by_step


def curve(record):
    return by_step(record.result["dev_wer"])


curves = {
    plan.name: [curve(record) for record in plan.adaptations] for plan in records.plans
}
pooled = {"centralised": [curve(record) for record in records.centralised]}
show(
    adaptation_curves(curves | pooled),
    caption="WER on SF dev speech by rounds. Thick: mean over seeds (and draws). Thin: each of them. None: FedAvg "
    "without dropout, in all panels. Centralised: the same speech pooled, each batch a step of the server's "
    "optimizer; the reference.",
    alt="Curves of word error rate by rounds for each plan, falling from the model before adaptation.",
    name="curves",
)

# %% tags=["hide-input"]
from paper_lib.claims.sentences import domain_learnt, enough_rounds

paragraph(
    domain_learnt(before, adapted[reference.name].mean, reference.name),
    enough_rounds({reference.name: curves[reference.name], **curves}),
)

# %% [markdown]
# ## Which plan costs how much WER?
#
# Intervals are over seeds and the speakers of the test, who are the clients themselves with new sentences. All plans
# meet the same clients, batches and test speech.

# %% tags=["hide-input"]
from paper_lib.federated.accounting import account
from paper_lib.federated.plans import named_plan
from paper_lib.federated.readings import SLIDE_DROPPED, SLIDE_WER

paper = profile_of("gpu").adaptation.model
SECONDS, LABELS = 1.5, 25  # a short utterance
central = Adapted.of([record.result for record in records.centralised], (SF,)).mean
accounts = {
    plan.name: account(plan.plans[0], second.model, SECONDS, LABELS)
    for plan in records.plans
}
whole = account(named_plan("none", ()), second.model, SECONDS, LABELS)


def saved(value, full):
    return f"{100 * (1 - value / full):.1f} %"


def total(record, direction):
    return sum(report[direction] for report in record.result["reports"]) / 1e6


seeds_told = f"{len(records.before)} seed{'s' if len(records.before) > 1 else ''}"
table(
    [
        ("before adaptation", "–", "–", percent(before.estimate()), "–", "–"),
        ("centralised", "–", "–", percent(central.estimate()), "–", "–"),
        *(
            (
                plan.name,
                f"{100 * accounts[plan.name].dropped_share:.1f} %",
                f"{SLIDE_DROPPED[plan.name]} %" if plan.name in SLIDE_DROPPED else "–",
                percent(adapted[plan.name].mean.estimate()),
                str(SLIDE_WER.get(plan.name, "–")),
                saved(accounts[plan.name].down, whole.down),
            )
            for plan in records.plans
        ),
    ],
    ["Plan", "Params dropped", "Slide", "WER on SF, % [95 %]", "Slide", "Bytes saved"],
    "The paper's table (its slide “Applications: Federated Dropout”) and ours; "
    f"{seeds_told}, {len(adapted[records.plans[0].name].words)} speakers. "
    "Flat-N drops as much as Crit-N and Amb-N, in every layer alike; random-N is the mean of its draws. Our model has "
    f"{second.model.encoder.layers} layers of width {second.model.encoder.dim}, the paper's "
    f"{paper.encoder.layers} of width {paper.encoder.dim}.",
)

# %% [markdown]
# What a client saves, exactly. A smaller feed-forward module saves bytes, time and memory. How large a share of each
# that is depends on what else the client has to send, to compute and to hold.

# %% tags=["hide-input"]
table(
    [
        (
            plan.name,
            f"{accounts[plan.name].dropped:,}",
            f"{total(plan.adaptations[0], 'bytes_down'):.1f} + {total(plan.adaptations[0], 'bytes_up'):.1f}",
            f"{accounts[plan.name].flops / 1e6:.0f} ({saved(accounts[plan.name].flops, whole.flops)})",
            f"{accounts[plan.name].memory / 1e6:.2f} ({saved(accounts[plan.name].memory, whole.memory)})",
        )
        for plan in records.plans
    ],
    [
        "Plan",
        "Params dropped",
        "MB down + up",
        "MFLOP (saved)",
        "Peak memory, MB (saved)",
    ],
    f"Of {whole.parameters:,} parameters. Bytes are of all rounds of seed 0. Operations and memory are those of one "
    f"training step on {SECONDS} s of speech with {LABELS} characters; memory is that of weights, gradients and what "
    "the forward pass keeps.",
    folded="What a client saves by each plan",
)

# %% tags=["hide-input"]
from paper_lib.figures.federated import wer_by_dropped
from paper_lib.summaries.captions import best_and_worst

found = best_and_worst(adapted)
show(
    wer_by_dropped(
        {
            name: (accounts[name].dropped_share, wers.mean.estimate())
            for name, wers in adapted.items()
        },
        {name: (SLIDE_DROPPED[name], SLIDE_WER[name]) for name in SLIDE_DROPPED},
    ),
    caption=f"{found} "
    "WER on the held-out domain over the share of parameters that a client does without: here with 95 % "
    "intervals, and the slide's seven points, which have none. The intervals of single plans are wider than those of "
    "their differences, which are paired.",
    alt=f"{found} "
    "Two scatter plots of word error rate by parameters dropped, our plans and the slide's.",
    name="plan-wers",
)

# %% [markdown]
# ## Comparisons at equal parameters
#
# A difference between plans means something where they drop as much. Below, all plans of one *N* do, up to the rounding
# of units; *Crit* is subtracted from, so a positive number speaks for dropping ambient layers. The paper compares Amb-2
# with Crit-3 and Amb-3 with Crit-4, "same number of parameters trained": by its own column the ambient plans then
# dropped in three and four layers, as the plans with 3 and 4 do here.
#
# Four controls that the paper lacks: the same rate everywhere (*flat-N*), layers by depth (*low-N*, *high-N*), layers
# by lot (*random-N*, the mean of five draws a seed). A ranking is worth something if *amb-N* beats *flat-N* and
# *random-N*, and more than depth if it beats *low-N*.

# %% tags=["hide-input"]
from paper_lib.claims.federated_dropout import crit_less_amb, secondary_comparisons
from paper_lib.federated.plans import COUNTS
from paper_lib.figures.tables import p_value

said = {
    ("crit-3", "amb-3"): "7 %; by the table 10 %",
    ("crit-4", "amb-4"): "22 %; by the table 11 %",
}


def compared(name, difference, worse, p, survives, on_slide):
    relative = round(100 * difference.by_seed.mean() / worse.by_seed.mean())
    by_seed = ", ".join(f"{100 * value:+.1f}" for value in difference.by_seed)
    return (
        name,
        percent(difference.mean.estimate(), sign=True),
        f"{relative:+d} %".replace("-", "−"),
        by_seed.replace("-", "−"),
        "–" if p is None else p_value(p),
        survives,
        on_slide,
    )


rows = []
if primary := crit_less_amb(adapted):
    critical = Adapted.average([adapted[f"crit-{n}"] for n in COUNTS])
    p = primary.mean.p_value(0.0) if len(primary.errors) > 1 else None
    name = "primary: crit-N − amb-N, mean over N"
    rows.append(compared(name, primary, critical, p, "–", "–"))
for pair in secondary_comparisons(adapted):
    rows.append(
        compared(
            f"{pair.worse} − {pair.better}",
            pair.difference,
            adapted[pair.worse],
            pair.p,
            "yes" if pair.survives else "no",
            said.get((pair.worse, pair.better), "–"),
        )
    )
table(
    rows,
    [
        "Difference",
        "WER, points [95 %]",
        "Relative",
        "By seed",
        "p",
        "Holm",
        "Slide, relative",
    ],
    "Differences of WER on the SF test speech at equal parameters dropped, paired by seed and speaker, 95 % intervals "
    "over both. The first row is the primary comparison. Holm: whether a secondary one differs from 0 when all of them "
    "are tested together at 5 %. The slide names 7 % and 22 %; its own table gives (7.0 − 6.3) / 7.0 = 10 % and "
    "(7.3 − 6.5) / 7.3 = 11 %.",
)

# %% [markdown]
# How far do plans of one size differ by *which* layers they drop in? Layers drawn by lot tell: a ranking that is worth
# something lies at the ends of their spread.

# %% tags=["hide-input"]
from paper_lib.claims.sentences import by_lot

rows, told = [], []
for plan in records.plans:
    if plan.draws == 1:
        continue
    # Every draw by itself, [seeds, draws].
    drawn = Adapted.of([record.result for record in plan.adaptations], (SF,)).by_seed
    drawn = drawn.reshape(-1, plan.draws)
    count = plan.name.partition("-")[2]
    ends = [
        adapted[kind].by_seed
        for kind in (f"amb-{count}", f"crit-{count}")
        if kind in adapted
    ]
    if len(ends) == 2:
        told.append(f"{plan.name}: {by_lot(drawn, *ends)}")
    for seed, wers in enumerate(drawn):
        layers = [
            " ".join(map(str, of_draw.rates))
            for of_draw in plan.plans[seed * plan.draws : (seed + 1) * plan.draws]
        ]
        rows.append(
            (
                plan.name,
                seed,
                "; ".join(
                    f"{100 * wer:.1f} ({which})"
                    for wer, which in zip(wers, layers, strict=True)
                ),
                f"{100 * wers.mean():.1f} ± {100 * wers.std(ddof=1):.1f}",
                " … ".join(f"{100 * end[seed]:.1f}" for end in ends),
            )
        )
table(
    rows,
    [
        "Plan",
        "Seed",
        "WER of each draw, % (its layers)",
        "Mean ± standard deviation, %",
        "Amb-N … Crit-N, %",
    ],
    f"Layers drawn by lot, beside the ends of the ranking. {' '.join(told)}",
    row_headers=2,
)

# %% [markdown]
# **What it shows.** Where an interval holds 0, the seeds and the test speech cannot tell which plan is better. The
# claims below say how many seeds would. **What it does not show:** that layers do not matter. Where the ranking is the
# order of depth, *amb-N* and *low-N* are one plan, and nothing here tells rank from depth.
#
# ## What the paper does not tell: the base rate, and rescaling
#
# The paper does not say how much is dropped in the layers that are *not* chosen. A base rate of 0 leaves them whole;
# one of 20 % is the paper's flat plan with *N* layers at 50 %. Does the comparison hang on it?

# %% tags=["hide-input"]
from paper_lib.studies.federated import BASE_RATES, RESCALING, SENSITIVE_PLANS


def varied(what, value):
    return {
        plan.name: adapted_by(plan, (SF,)) for plan in records.sensitivity[what][value]
    }


def at_equal_parameters(wers):
    crit, amb, flat = (wers[name] for name in SENSITIVE_PLANS)
    return [
        *(percent(one.mean.estimate()) for one in (crit, amb, flat)),
        *(
            percent(worse.less(amb).mean.estimate(), sign=True)
            for worse in (crit, flat)
        ),
    ]


EQUAL = [
    *(f"{name}, %" for name in SENSITIVE_PLANS),
    "crit − amb, points",
    "flat − amb, points",
]
dropped = {
    base: account(plans[0].plans[0], second.model, SECONDS, LABELS).dropped_share
    for base, plans in records.sensitivity.get("base rate", {}).items()
}
not_varied = paragraph(
    f"Profile {profile_settings.name} "
    + (
        "has not measured this yet."
        if second.sensitivity_seeds
        else "does not measure this; laptop does."
    )
)
FROM = f"95 % intervals, {len(few)} seed{'s' if len(few) > 1 else ''}"
table(
    [
        (
            f"{100 * base:.0f} %",
            f"{100 * dropped[base]:.1f} %",
            *at_equal_parameters(varied("base rate", base)),
        )
        for base in BASE_RATES
    ],
    ["Base rate", "Params dropped", *EQUAL],
    f"WER on SF with three layers at 50 % and the others at a base rate; {FROM}. The plans of a row drop the same "
    "number of parameters, rows do not. Each interval stands for itself: nothing is corrected for their number.",
) if few else not_varied

# %% [markdown]
# Nor does the paper say whether a client makes up for the units that it lacks. Without that, the sum over the units
# that are left is smaller than the whole layer's. With rescaling the client multiplies the units that it keeps by 1 /
# (1 − rate), as {term}`inverted dropout` does, so that the mean over masks is the whole layer's output. The factor
# belongs to the smaller model's forward pass. Weights come and go unscaled, and the client's update is added to the
# weights of the same units in the server's model.

# %% tags=["hide-input"]
table(
    [
        *(
            (
                "units scaled" if value else "units as they are",
                *at_equal_parameters(varied("rescaling", value)),
            )
            for value in RESCALING
        ),
        (
            "scaled − as they are, points",
            *(
                percent(scaled.less(plain).mean.estimate(), sign=True)
                for scaled, plain in zip(
                    *(varied("rescaling", value).values() for value in (True, False)),
                    strict=True,
                )
            ),
            "–",
            "–",
        ),
    ],
    ["Kept units", *EQUAL],
    "WER on SF without and with rescaling of the hidden units that a client keeps, at a base rate of "
    f"{100 * chosen.elsewhere:g} %; {FROM}. Below 0 in the last row, rescaling helps.",
) if few else not_varied

# %% [markdown]
# ## Which layers do the clients change?
#
# The server sees more than a mean: how far each client moved each layer, and whether the clients moved it the same way.
# {term}`Disagreement <disagreement>` is the share of the clients' squared updates that their mean does not keep: 0
# where all clients move alike, near 1 where they cancel. It is counted over the coordinates that a client has trained.

# %% tags=["hide-input"]
from paper_lib.claims.sentences import updates_by_layer
from paper_lib.federated.comparison import updates_of
from paper_lib.figures.federated import update_curves

of_reference = [record.result for record in reference.adaptations]
norms, apart = (
    updates_of(of_reference, kind) for kind in ("update_norms", "disagreements")
)
show(
    update_curves(norms, apart),
    caption=f"The clients' updates by layer, plan {reference.name}, mean over rounds: how far a "
    "client moves a layer, and how far the clients of a round disagree. Thick: mean over seeds.",
    alt="Two curves by layer: the norm of the clients' updates, and their disagreement.",
    name="updates",
)

# %% tags=["hide-input"]
of_trainings = Sweeps.of(resets).harm()
harm = of_trainings[np.arange(len(norms)) // reference.draws % len(of_trainings)]
averaged = np.mean(
    [
        len(report["clients"])
        for result in of_reference
        for report in result["reports"]
        if report["clients"]
    ]
)
paragraph(updates_by_layer(norms, apart, harm, averaged))

# %% [markdown]
# ## What it forgets
#
# Clients bring one domain alone, and nothing in the rounds keeps what the model knew of the others. The last column is
# what the new domain is paid with.

# %% tags=["hide-input"]
named = {
    "before adaptation": lambda domains: Adapted.of(
        [record.result for record in records.before], domains
    ),
    "centralised": lambda domains: Adapted.of(
        [record.result for record in records.centralised], domains
    ),
    **{
        plan.name: lambda domains, plan=plan: adapted_by(plan, domains)
        for plan in records.plans
    },
}
table(
    [
        (
            name,
            *(percent(errors((domain,)).mean.estimate()) for domain in (SF, *MD)),
            percent(errors(MD).mean.estimate()),
        )
        for name, errors in named.items()
    ],
    ["Plan", *(f"{domain}, %" for domain in (SF, *MD)), "MD − SF, %"],
    "WER by domain on the test speech, 95 % intervals as above. MD − SF, the utterances of its domains together, goes "
    f"from {100 * named['before adaptation'](MD).mean.value:.1f} % before the adaptation to "
    f"{100 * named[reference.name](MD).mean.value:.1f} % after it ({reference.name}).",
    folded="The WER of every domain after each plan",
)

# %% [markdown]
# A smaller learning rate of the server moves the model less. Does it forget less than it learns less?

# %% tags=["hide-input"]
from paper_lib.claims.sentences import learnt_and_forgotten
from paper_lib.figures.federated import forgetting

both = ((SF,), MD)
came_with = tuple(
    Adapted.of([record.result for record in few or records.before], domains)
    for domains in both
)
after = {
    share: tuple(adapted_by(plan, domains) for domains in both)
    for share, (plan,) in records.sensitivity.get("server rate", {}).items()
}
points = {
    label: tuple(errors.mean.estimate() for errors in of)
    for label, of in {
        "before": came_with,
        **{f"rate × {share:g}": after[share] for share in sorted(after)},
    }.items()
}
show(
    forgetting(points),
    caption="WER on SF over WER on MD − SF, before the adaptation and after it by FedAvg without dropout with three "
    f"server learning rates: {federated.server.learning_rate:g}, its half and its quarter; {FROM}. Down is learnt, to "
    "the right is forgotten.",
    alt="A scatter plot of the word error rate on the held-out domain by that on the other domains, one point for the "
    "model before adaptation and one for each server learning rate.",
    name="forgetting",
) if few else not_varied

# %% tags=["hide-input"]
paragraph(learnt_and_forgotten(came_with, after)) if few else None

# %% [markdown]
# ## How were 8, 9, 9, 10, 10, 11 and 12 % dropped?
#
# The slide's column is not what half of *N* layers' feed-forward units gives: that is about 1.5 % a layer. Nor does it
# say what is dropped elsewhere, in which matrices, and of which total it is a share. So all plausible readings are
# counted on the full-size streaming model.

# %% tags=["hide-input"]
from paper_lib.conformer.sizes import PUBLISHED_STREAMING, count_parameters, millions
from paper_lib.federated.readings import readings

full = paper
PUBLISHED_ENCODER, PUBLISHED_TOTAL = PUBLISHED_STREAMING
size = count_parameters(full)
encoder_size = size.layers + size.subsampling
table(
    [
        (
            "17 Conformer layers",
            millions(size.layers),
            "–",
            "public: width 512, kernel 15",
        ),
        (
            "subsampling",
            millions(size.subsampling),
            "–",
            "not public; here as in size L",
        ),
        (
            "encoder",
            millions(encoder_size),
            millions(PUBLISHED_ENCODER),
            f"{millions(PUBLISHED_ENCODER - size.layers)} beyond the layers are not explained by a public source",
        ),
        (
            "decoder",
            millions(size.prediction + size.joint),
            millions(PUBLISHED_TOTAL - PUBLISHED_ENCODER),
            "two LSTM layers of 2048 units, projected to 640; 4096 word-pieces",
        ),
        ("total", millions(size.total), millions(PUBLISHED_TOTAL), ""),
    ],
    ["Part", "Here", "Published", "What is known"],
    "Parameters of the full-size streaming model beside the published ones (arXiv 2110.03634).",
)

# %% tags=["hide-input"]
totals = {
    "the published 137M": PUBLISHED_TOTAL,
    "the encoder's 113M": PUBLISHED_ENCODER,
    f"the layers' {millions(size.layers)}": size.layers,
    f"our {millions(size.total)}": size.total,
}
every = readings(full, totals)
complete = [reading for reading in every if len(reading.agreeing) == len(SLIDE_DROPPED)]
table(
    [
        ("slide", *(f"{value}" for value in SLIDE_DROPPED.values()), "–"),
        *(
            (
                f"{reading.matrices}; {100 * reading.elsewhere:.0f} % elsewhere; {reading.counts}; of {reading.of}",
                *(f"{reading.dropped[plan]:.1f}" for plan in SLIDE_DROPPED),
                f"{len(reading.agreeing)} of {len(SLIDE_DROPPED)}",
            )
            for reading in every[:6]
        ),
    ],
    ["Reading", *(name.capitalize() for name in SLIDE_DROPPED), "Agree"],
    "Per cent of parameters dropped by plan. A reading says in which matrices, how much in the layers not chosen, how "
    f"many layers are at 50 %, and of which total. The best of {len(every)}; {len(complete) or 'none'} of them "
    f"{'reproduce' if complete else 'reproduces'} all seven printed values.",
)

# %% [markdown]
# **What it shows.** Which readings come near, and where they miss. Layers of one model are of one size, so Amb-*N* and
# Crit-*N* must drop the same, and the slide prints one more for Amb: as if one more layer had been dropped. **What it
# does not show:** what the authors did.
#
# At full size, the plans with the nearest reading would cost a client:

# %% tags=["hide-input"]
by_name = {plan.name: plan.plans[0] for plan in records.plans}
ranks = list(range(1, full.encoder.layers + 1))
full_accounts = {
    name: account(named_plan(name, ranks, elsewhere=chosen.elsewhere), full, 5.0, 20)
    for name in by_name
    if name != "own"
}
table(
    [
        (
            name,
            f"{entry.dropped:,}",
            f"{100 * entry.dropped_share:.2f} %",
            f"{entry.down / 1e6:.1f}",
            f"{entry.flops / 1e9:.1f}",
            f"{entry.memory / 1e6:.0f}",
            f"{SLIDE_DROPPED[name]} %" if name in SLIDE_DROPPED else "–",
        )
        for name, entry in full_accounts.items()
    ],
    [
        "Plan",
        "Dropped",
        "Share",
        "MB each way",
        "GFLOP a step",
        "Peak memory, MB",
        "Slide",
    ],
    f"Exact accounting of the full-size streaming model ({millions(size.total)} parameters, float32) for one client "
    "and a training step on 5 s of speech with 20 word-pieces. Peak memory: weights, gradients and what the forward "
    "pass keeps.",
)

# %% [markdown]
# ## Plan it yourself
#
# Set a rate for each layer of the full-size model. What a client saves is computed; what it costs in WER is only known
# for the plans that were measured here, on a smaller model, and the nearest of those are named.

# %% tags=["hide-input"]
from paper_lib.explorers.planner import MeasuredPlan, planner

planner(
    full,
    [
        MeasuredPlan(
            plan.plans[0],
            second.model.encoder.layers,
            adapted[plan.name].mean.estimate(),
        )
        for plan in records.plans
        if plan.draws == 1
    ],
    seconds=5.0,
    labels=20,
    caption="A client's step is on 5 s of speech with 20 word-pieces. Nearest measured: plans of this page, seed 0, on "
    f"a model of {second.model.encoder.layers} layers, by the mean difference of the rates at the same relative depth; "
    "their WER is that of the small model, and nothing is interpolated.",
)

# %% [markdown]
# ## What agrees with the paper, and what does not

# %% tags=["hide-input"]
from paper_lib.claims.findings import judge_federated_dropout
from paper_lib.figures.claims import claims_table

claims_table(
    judge_federated_dropout(records),
    "The paper's claims beside this page's measurements; verdicts are computed from the records.",
)

# %% [markdown]
# ## What this does not show
#
# - Our model is smaller than the paper's in every respect, and so is its corpus: the tables above say by how much. What
#   half of *N* layers is worth depends on how many there are.
# - Rankings are of the model before the adaptation. Which layers the new domain needs may be another question.
# - Base rates, rescaling and server rates were varied one at a time, from few seeds, each with plans of *N* = 3.
# - A seed is a training and its adaptation together; in a {term}`profile` with one training the intervals hold for
#   adaptations of this one model.
# - The paper does not say whether masks are drawn per client or per round, nor its base rate. Both are parameters here.
# - Clients are simulated: synthetic speakers, all of whom can be reached.
#
# ## Ask yourself

# %% tags=["remove-input"]
summary.questions

# %% [markdown]
# ## Run it again
#
# A plan of your own is one parameter; its row appears in every table:
#
# ```
# python -m paper_lib chapter federated_dropout -p own "1:0.5 4:0.25 rest:0.1"
# ```

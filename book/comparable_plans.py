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
# # How were the plans made comparable?
#
# You will know what each plan of {doc}`federated_dropout` drops, to the last parameter, what all plans have in common,
# and what hangs on choices that the paper does not tell.

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

chapter = begin("comparable_plans", globals())

# %% tags=["remove-input", "in-short"]
from paper_lib.summaries import summarised

summary = summarised("comparable_plans", dict(chapter.parameters))
summary.in_short

# %% tags=["hide-input"]
from paper_lib.profiles import profile_of
from paper_lib.studies import federated_dropout

chosen = chapter.parameters
profile_settings = profile_of(chosen.profile)
second = profile_settings.adaptation
study = federated_dropout(profile_settings, **chosen.model_dump(exclude={"profile"}))
records = study.records()

# %% [markdown]
# This is the appendix to {doc}`federated_dropout`, which asks whether it costs less {term}`WER` to drop units in
# {term}`ambient <ambient layer>` layers than in {term}`critical <critical layer>` ones. A difference between two plans
# answers that if nothing else differs. So here is all that could: the speech, the {term}`clients <client>`, the model,
# the number of parameters dropped, and two choices that the paper leaves open. Both pages read the same
# {term}`records <record>`. MD is the speech of all domains, SF the short-form speech that clients bring.

# %% [markdown]
# ## The same speech and the same rounds
#
# A *client* is one speaker with their own short utterances, so no two have the same distribution. In a {term}`round`
# some clients are drawn, each receives the model (or, with dropout, a physically smaller {term}`sub-model`), trains it
# on its own speech and sends back by how much its weights have moved. The server {term}`averages <federated averaging>`
# per coordinate over the clients that trained it, and takes a step of Adam along the mean (FedAdam). From one
# {term}`seed` all plans meet the same clients in the same rounds, with the same batches.

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
SF = second.held_out
MD = [domain for domain in second.corpus.domains if domain != SF]


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
from paper_lib.summaries.words import listed

federated = study.federated
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
        ("seeds", listed(map(str, records.seeds))),
        *(
            (f"seeds with the {name} varied", listed(map(str, of.seeds)))
            for name, of in records.sensitivity.items()
        ),
        ("weight of a client", "its number of utterances"),
    ],
    ["Setting", "Value"],
    "The federated training, the same in every plan. Settings were chosen on dev speech.",
)

# %% [markdown]
# ## One model, and it streams
#
# From one seed all plans begin with one trained model, whose layers are ranked by the same resets. It must answer while
# one speaks: convolutions see the past alone, attention looks back over a bounded {term}`left context`, normalisation
# takes its statistics from the frame, and the convolution comes before the attention (Li et al. 2021). So it can be fed
# 100 ms at a time, with the state of every layer carried along, and gives the same numbers as all at once. Below, one
# test sentence arrives in pieces.

# %% tags=["hide-input"]
from IPython.display import display

from paper_lib.circumstances import machine
from paper_lib.conformer.streaming import listen
from paper_lib.figures.sound import player
from paper_lib.profiles.shipped import shipped_run
from paper_lib.widgets.shipped import model_at_hand

streams = second.model.encoder.streaming is not None
base, model, tokenizer = model_at_hand(second.run(0) if streams else shipped_run())
whose = (
    "The model that clients adapt"
    if base == second.run(0)
    else "Shown is the small model that comes with the library, because the one that clients adapt "
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
# ## Where each plan drops
#
# {term}`Federated Dropout` takes hidden units out of the two feed-forward modules of a layer: rows of the first matrix,
# columns of the second. The client's model takes less memory, fewer bytes to send and less time. The paper drops 50 %
# in *N* layers; a {term}`base rate` in all others is a reading of its numbers (see below), `elsewhere` sets it.
# *Crit-N*, *Amb-N*, *low-N*, *high-N* and *random-N* choose *N* layers by rank, by depth or by lot, and drop as much
# because layers of one model are of one size. *Flat-N* drops as much as they do, in every layer alike.

# %% tags=["hide-input"]
from paper_lib.figures.federated import dropped_shares
from paper_lib.figures.style import show

show(
    dropped_shares([plan.plans[0] for plan in records.plans], records.rankings[0]),
    caption="Share of the feed-forward units that each plan drops, seed 0; of random-N the first draw.",
    alt="A grid of plans by layers with the share of units dropped.",
    name="dropped",
)

# %% [markdown]
# ## What a client saves, exactly
#
# A smaller feed-forward module saves bytes, time and memory. How large a share of each that is depends on what else the
# client has to send, to compute and to hold.

# %% tags=["hide-input"]
from paper_lib.federated.accounting import SHORT, account
from paper_lib.federated.plans import named_plan
from paper_lib.summaries.comparable_plans import accounts_of

accounts = accounts_of(records, second.model)
whole = account(named_plan("none", ()), second.model, *SHORT)


def saved(value, full):
    return f"{100 * (1 - value / full):.1f} %"


def total(record, direction):
    return sum(report[direction] for report in record.result["reports"]) / 1e6


table(
    [
        (
            plan.name,
            f"{accounts[plan.name].dropped:,}",
            f"{100 * accounts[plan.name].dropped_share:.2f} %",
            f"{total(plan.adaptations[0], 'bytes_down'):.1f} + {total(plan.adaptations[0], 'bytes_up'):.1f}",
            f"{accounts[plan.name].flops / 1e6:.0f} ({saved(accounts[plan.name].flops, whole.flops)})",
            f"{accounts[plan.name].memory / 1e6:.2f} ({saved(accounts[plan.name].memory, whole.memory)})",
        )
        for plan in records.plans
    ],
    [
        "Plan",
        "Params dropped",
        "Share",
        "MB down + up",
        "MFLOP (saved)",
        "Peak memory, MB (saved)",
    ],
    f"Of {whole.parameters:,} parameters. Bytes are of all rounds of seed 0. Operations and memory are those of one "
    f"training step on {SHORT[0]} s of speech with {SHORT[1]} characters; memory is that of weights, gradients and "
    "what the forward pass keeps.",
)

# %% [markdown]
# ## How were 8, 9, 9, 10, 10, 11 and 12 % dropped?
#
# The slide's column is not what half of *N* layers' feed-forward units gives: that is about 1.5 % a layer. Nor does it
# say what is dropped elsewhere, in which matrices, and of which total it is a share. So all plausible readings are
# counted on the full-size streaming model.

# %% tags=["hide-input"]
from paper_lib.conformer.sizes import PUBLISHED_STREAMING, count_parameters, millions

full = profile_of("gpu").adaptation.model
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
from paper_lib.federated.readings import SLIDE_DROPPED
from paper_lib.summaries.comparable_plans import readings_of_slide

every = readings_of_slide(full)
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
# Crit-*N* must drop the same, and the slide prints more for Amb: as if one more layer had been dropped. **What it
# does not show:** what the authors did.
#
# At full size, the plans of this book, in which Amb-*N* drops in as many layers as Crit-*N*, would cost a client:

# %% tags=["hide-input"]
ranks = list(range(1, full.encoder.layers + 1))
full_accounts = {
    name: account(named_plan(name, ranks, elsewhere=chosen.elsewhere), full, 5.0, 20)
    for name in accounts
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
# ## What the paper does not tell: the base rate, and rescaling
#
# The paper does not say how much is dropped in the layers that are *not* chosen. A base rate of 0 leaves them whole;
# one of 20 % is the paper's flat plan with *N* layers at 50 %. Does the comparison hang on it?

# %% tags=["hide-input"]
from paper_lib.claims.findings import adapted_by_value
from paper_lib.claims.sentences import not_varied
from paper_lib.figures.markup import paragraph
from paper_lib.studies.federated import SENSITIVE_PLANS
from paper_lib.summaries.words import seeds_named

rates, scaling = map(records.sensitivity.get, ("base rate", "rescaling"))
base_rates, rescaled = (adapted_by_value(one, (SF,)) for one in (rates, scaling))


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
    base: account(plans[0].plans[0], second.model, *SHORT).dropped_share
    for base, plans in (rates.by_value.items() if rates else ())
}
not_here = paragraph(not_varied(profile_settings.name, bool(second.sensitivity_seeds)))
table(
    [
        (
            f"{100 * base:.0f} %",
            f"{100 * dropped[base]:.1f} %",
            *at_equal_parameters(wers),
        )
        for base, wers in base_rates.items()
    ],
    ["Base rate", "Params dropped", *EQUAL],
    "WER on SF with three layers at 50 % and the others at a base rate; 95 % intervals over speakers, and over seeds "
    f"where there are several: {seeds_named(rates.seeds)}. The plans of a row drop the same number "
    "of parameters, rows do not. Each interval stands for itself: nothing is corrected for their number.",
) if rates else not_here

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
                *at_equal_parameters(wers),
            )
            for value, wers in rescaled.items()
        ),
        (
            "scaled − as they are, points",
            *(
                percent(scaled.less(plain).mean.estimate(), sign=True)
                for scaled, plain in zip(
                    *(rescaled[value].values() for value in (True, False)),
                    strict=True,
                )
            ),
            "–",
            "–",
        ),
    ],
    ["Kept units", *EQUAL],
    "WER on SF without and with rescaling of the hidden units that a client keeps, at a base rate of "
    f"{100 * chosen.elsewhere:g} %; 95 % intervals over speakers, and over seeds where there are several: "
    f"{seeds_named(scaling.seeds)}. Below 0 in the last row, rescaling helps.",
) if scaling else not_here

# %% [markdown]
# ## Plan it yourself
#
# Set a rate for each layer of the full-size model. What a client saves is computed; what it costs in WER is only known
# for the plans that were measured here, on a smaller model, and the nearest of those are named.

# %% tags=["hide-input"]
from paper_lib.claims.findings import adapted_by
from paper_lib.explorers.planner import MeasuredPlan, planner

planner(
    full,
    [
        MeasuredPlan(
            plan.plans[0],
            second.model.encoder.layers,
            adapted_by(plan, (SF,)).mean.estimate(),
        )
        for plan in records.plans
        if plan.draws == 1
    ],
    seconds=5.0,
    labels=20,
    caption="A client's step is on 5 s of speech with 20 word-pieces. Nearest measured: the plans above, seed 0, on "
    f"a model of {second.model.encoder.layers} layers, by the mean difference of the rates at the same relative depth; "
    "their WER is that of the small model, and nothing is interpolated.",
)

# %% [markdown]
# ## What this does not show
#
# - Equal parameters are not equal in all: units of the first layer and of the last may be worth more than others. That
#   is what the comparison is about.
# - Base rates and rescaling are varied one at a time, from few seeds, with plans of *N* = 3, where they are at all.
# - The paper does not say whether masks are drawn per client or per round. `masks` sets it; the other was not measured.
# - Operations and memory are counted, not timed on a phone.
#
# ## Ask yourself

# %% tags=["remove-input"]
summary.questions

# %% [markdown]
# ## Run it again
#
# A plan of your own is one parameter; its row appears wherever plans are counted:
#
# ```
# python -m paper_lib chapter comparable_plans -p own "1:0.5 4:0.25 rest:0.1"
# ```

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
study = federated_dropout(profile_settings, **chosen.model_dump(exclude={"profile"}))
records = study.records()

# %% tags=["hide-input"]
import numpy as np

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
# every {term}`plan` with common random numbers, compare in pairs where plans drop the same number of parameters.
# *Crit-N* drops half of the feed-forward units of the *N* most critical layers and a tenth of the others, *Amb-N* half
# of those of the *N* most ambient ones. {doc}`comparable_plans` has the method: the speech, the model, what each plan
# drops to the last parameter, and what the paper does not tell.
#
# The paragraph above is computed from the {term}`records <record>`, as all sentences on this page that tell what was
# measured are. Where it finds fewer than *N* ambient layers, "Amb-*N*" means the *N* least critical ones.
#
# **One primary comparison, named before the numbers.** *Crit-N less Amb-N*, the WER on SF averaged over *N* = 2, 3
# and 4: one contrast for every {term}`seed`, one test. All other comparisons are secondary. They are tested together
# (Holm), so that a striking one among many does not count for more than it is.

# %% [markdown]
# ## Which plan costs how much WER?
#
# Intervals are over seeds and the speakers of the test, who are the clients themselves with new sentences. All plans
# meet the same clients, batches and test speech.

# %% tags=["hide-input"]
from paper_lib.federated.accounting import SHORT, account
from paper_lib.federated.plans import named_plan
from paper_lib.federated.readings import SLIDE_DROPPED, SLIDE_WER
from paper_lib.figures.federated import wer_by_dropped
from paper_lib.figures.style import show
from paper_lib.figures.tables import percent, table
from paper_lib.summaries.captions import best_and_worst
from paper_lib.summaries.comparable_plans import accounts_of
from paper_lib.summaries.words import counted

paper = profile_of("gpu").adaptation.model
central = Adapted.of([record.result for record in records.centralised], (SF,)).mean
accounts = accounts_of(records, second.model)
whole = account(named_plan("none", ()), second.model, *SHORT)
rests_on = f"{counted(len(records.before), 'seed')}, {counted(len(adapted[reference.name].words), 'speaker')}"
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
    "intervals, and the slide's seven points, which have none. Here plans of one N drop as much, and "
    "stand side by side. The intervals of single plans are wider than those of their differences, which are paired.",
    alt=f"{found} "
    "Two scatter plots of word error rate by parameters dropped, our plans and the slide's.",
    name="plan-wers",
)

# %% tags=["hide-input"]
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
                f"{100 * (1 - accounts[plan.name].down / whole.down):.1f} %",
            )
            for plan in records.plans
        ),
    ],
    ["Plan", "Params dropped", "Slide", "WER on SF, % [95 %]", "Slide", "Bytes saved"],
    "The paper's table (its slide “Applications: Federated Dropout”) and ours; "
    f"{rests_on}. "
    "Flat-N drops as much as Crit-N and Amb-N, in every layer alike; random-N is the mean of its draws. Our model has "
    f"{second.model.encoder.layers} layers of width {second.model.encoder.dim}, the paper's "
    f"{paper.encoder.layers} of width {paper.encoder.dim}.",
    folded="The numbers of the figure",
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
from paper_lib.figures.differences import PRIMARY, Difference, forest
from paper_lib.summaries.captions import differences_found

primary = crit_less_amb(adapted)
secondary = secondary_comparisons(adapted)
groups = {}
if primary:
    groups[PRIMARY] = [Difference.of("crit-N − amb-N, mean over N", primary)]
for pair in secondary:
    kinds = " − ".join(name.partition("-")[0] for name in (pair.worse, pair.better))
    name = f"{pair.worse} − {pair.better}"
    groups.setdefault(kinds, []).append(Difference.of(name, pair.difference))
found = differences_found(primary, secondary)
show(
    forest(groups),
    caption=f"{found} Differences of WER on the SF test speech at equal parameters dropped, paired by seed and "
    f"speaker; 95 % intervals, {rests_on}.",
    alt=f"{found} A forest plot: for each pair of plans a point with its interval beside a line at 0.",
    name="plan-differences",
) if groups else paragraph(
    "No two plans of one N were asked for here.", name="plan-differences"
)

# %% tags=["hide-input"]
from paper_lib.federated.plans import COUNTS
from paper_lib.figures.tables import p_value

said = {
    ("crit-3", "amb-3"): "7 %; by the table 10 %",
    ("crit-4", "amb-4"): "22 %; by the table 11 %",
}


def compared(name, difference, worse, p, survives, on_slide):
    relative = round(100 * difference.by_seed.mean() / worse.by_seed.mean())
    return (
        name,
        percent(difference.mean.estimate(), sign=True),
        f"{relative:+d} %",
        ", ".join(f"{100 * value:+.1f}" for value in difference.by_seed),
        "–" if p is None else p_value(p),
        survives,
        on_slide,
    )


rows = []
if primary:
    critical = Adapted.average([adapted[f"crit-{n}"] for n in COUNTS])
    p = primary.mean.p_value(0.0) if len(primary.errors) > 1 else None
    name = "primary: crit-N − amb-N, mean over N"
    rows.append(compared(name, primary, critical, p, "–", "–"))
for pair in secondary:
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
    folded="The numbers of the figure, and what the slide says",
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
        other
        for other in records.plans
        if other.name in (f"amb-{count}", f"crit-{count}")
    ]
    if len(ends) == 2:
        told.append(
            f"{plan.name}: {by_lot(drawn, *(adapted[end.name].by_seed for end in ends))}"
        )
    for of_seed, (seed, wers) in enumerate(zip(records.seeds, drawn, strict=True)):
        found = [(end, of_seed, adapted[end.name].by_seed[of_seed]) for end in ends]
        found += [
            (plan, plan.draws * of_seed + draw, wer) for draw, wer in enumerate(wers)
        ]
        for of_plan, place, wer in sorted(found, key=lambda one: one[2]):
            layers = " ".join(map(str, of_plan.plans[place].rates))
            rows.append((of_plan.name, seed, layers, f"{100 * wer:.1f}"))
table(
    rows,
    ["Plan", "Seed", "Layers at 50 %", "WER, %"],
    f"Layers drawn by lot, among the ends of the ranking, the lowest WER first. {' '.join(told)}",
    row_headers=2,
)

# %% [markdown]
# **What it shows.** Where an interval holds 0, the seeds and the test speech cannot tell which plan is better. The
# claims below say how many seeds would. **What it does not show:** that layers do not matter. Where the ranking is the
# order of depth, *amb-N* and *low-N* are one plan, and nothing here tells rank from depth.
#
# The answer may hang on choices that the paper does not tell: how much is dropped in the layers that are *not* chosen,
# and whether a client scales the units that it keeps. {doc}`comparable_plans` varies both.

# %% [markdown]
# ## What it forgets
#
# Clients bring one domain alone, and nothing in the rounds keeps what the model knew of the others. This is what the
# new domain is paid with, by every plan.

# %% tags=["hide-input"]
from paper_lib.figures.forgetting import slopes
from paper_lib.summaries.captions import forgotten

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
known, *after = (errors(MD).mean.estimate() for errors in named.values())
after = dict(zip(list(named)[1:], after, strict=True))
found = forgotten(known, after)
show(
    slopes(known, after),
    caption=f"{found} WER on the test speech of MD − SF before the adaptation to SF and after it, by plan; the bars "
    f"are the 95 % intervals of the model before and of that after FedAvg without dropout; {rests_on}.",
    alt=f"{found} A slope chart: a line for each plan from the word error rate before to that after.",
    name="forgetting-by-plan",
)

# %% tags=["hide-input"]
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
    "WER by domain on the test speech, 95 % intervals as above. MD − SF: the utterances of its domains together.",
    folded="The WER of every domain after each plan",
)

# %% [markdown]
# A smaller learning rate of the server moves the model less. Does it forget less than it learns less?

# %% tags=["hide-input"]
from paper_lib.claims.sentences import learnt_and_forgotten, not_varied
from paper_lib.figures.forgetting import forgetting
from paper_lib.summaries.words import seeds_named

both = ((SF,), MD)
varied = records.sensitivity.get("server rate")
came_with = tuple(
    Adapted.of([record.result for record in (varied or records).before], domains)
    for domains in both
)
after = {
    share: tuple(adapted_by(plan, domains) for domains in both)
    for share, (plan,) in (varied.by_value.items() if varied else ())
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
    f"server learning rates: {study.federated.server.learning_rate:g}, its half and its quarter; 95 % intervals over "
    f"speakers, and over seeds where there are several: {seeds_named(varied.seeds)}. Down is learnt, "
    "to the right is forgotten.",
    alt="A scatter plot of the word error rate on the held-out domain by that on the other domains, one point for the "
    "model before adaptation and one for each server learning rate.",
    name="forgetting",
) if varied else paragraph(
    not_varied(profile_settings.name, bool(second.sensitivity_seeds))
)

# %% tags=["hide-input"]
paragraph(learnt_and_forgotten(came_with, after)) if varied else None

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
# ## The ranking behind the plans
#
# The recogniser must answer while one speaks; {doc}`comparable_plans` shows it at work. Each layer of the model that
# was trained on MD − SF is {term}`re-initialised <re-initialisation>` in turn, and *dev* speech of MD − SF is
# recognised: the test speech chooses nothing. The WER change ranks the layers from ambient to critical.

# %% tags=["hide-input"]
from paper_lib.claims.model_size import tally
from paper_lib.figures.resets import change_intervals

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
            f"{spearman(np.array(ranking, float), depth):.2f}",
        )
        for seed, ranking in zip(records.seeds, records.rankings, strict=True)
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
# - Our model is smaller than the paper's in every respect, and so is its corpus: {doc}`comparable_plans` says by how
#   much. What half of *N* layers is worth depends on how many there are.
# - Rankings are of the model before the adaptation. Which layers the new domain needs may be another question.
# - Server rates are varied from few seeds, with FedAvg alone, where they are at all.
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

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
# # Human speech
#
# You will know which findings hold for recordings of people, and which belong to the synthesiser.
#
# Everything before this page was learnt from a synthesiser. Its voices do not mumble, have no colds, and say each word
# in one way. So which of the findings belong to Conformers, and which to the synthesiser?
#
# This page asks the paper's questions again, of *people*. A model that was trained on synthetic speech is
# fine-tuned on recordings of people, as such models are built: much speech that is cheap first, little that is real
# after. Then its layers are reset. And people are the {term}`clients <client>` of {term}`federated learning <federated
# averaging>`: each brings a few recordings of their own voice.

# %% tags=["parameters", "hide-input"]
profile = "quick"

# %% tags=["hide-input"]
from paper_lib.chapters import begin

chapter = begin("human_speech", globals())

# %% tags=["remove-input", "in-short"]
from paper_lib.summaries import summarised

summary = summarised("human_speech", dict(chapter.parameters))
summary.in_short

# %% [markdown]
# Whatever the {term}`profile` of the other pages is, this one shows the published {term}`records <record>` of profile
# `human`, beside those of `laptop`, with whose trainings it begins. They take hours to make and need the recordings.

# %% tags=["hide-input"]
from paper_lib.claims import p_text
from paper_lib.evaluation import Spoken
from paper_lib.figures.markup import Markup, paragraph
from paper_lib.figures.tables import p_value, percent, table
from paper_lib.layers.agreement import association
from paper_lib.layers.ranking import intact_wer, layer_effects, reinitialised
from paper_lib.layers.sweeps import Sweeps
from paper_lib.profiles import profile_of
from paper_lib.studies.people import fine_tuned, on_synthetic_speech

human, synthetic = profile_of("human"), profile_of("laptop")
size = "S"
# Trainings of which everything on this page has been measured, and those that they began with.
records, of_base = zip(*fine_tuned(), strict=True)
people = Sweeps.of([record.reset.result for record in records])
spoken = Spoken.read(records[0].reset.result)
before = Sweeps.of([record.base.result for record in records])
synthesised = Sweeps.of([record.reset.result for record in of_base])

# %% [markdown]
# ## The people
#
# Recordings are of *Speech Commands* (Warden 2018, [arXiv 1804.03209](https://arxiv.org/abs/1804.03209), licence
# [Creative Commons BY 4.0](https://creativecommons.org/licenses/by/4.0/)): volunteers who said single words into the
# microphone that they had. The book uses nine words of it. A list in the library names the files with their SHA-256
# sums; `python -m paper_lib download speech_commands` fetches the archive.
#
# An utterance is a string of one to four words by one person, silence trimmed, with pauses between. People, not
# recordings, are split into training, dev and test, by a hash of their name: nobody who is heard in the test was heard
# before.

# %% tags=["hide-input"]
table(
    [
        (
            f"{size} as trained on synthetic speech, heard on synthetic speech",
            percent(intact_wer(synthesised)),
            synthesised.varied,
        ),
        (
            "the same models, heard on people",
            percent(intact_wer(before)),
            before.varied,
        ),
        (
            "fine-tuned on people, heard on people",
            percent(intact_wer(people)),
            people.varied,
        ),
    ],
    ["Model", "WER, % [95 %]", "Interval over"],
    f"WER of intact models. The test: {len(people.words)} people, {len(spoken.ids)} utterances, "
    f"{people.words.sum():.0f} words. A WER above 100 % inserts words that nobody said.",
)

# %% [markdown]
# Fine-tuning takes its {term}`feature statistics <feature statistics>` from the people's training speech: a microphone
# in a kitchen has another spectrum than a program. In the second row they are still the synthesiser's.
#
# ## Which layers survive a reset, heard on people?

# %% tags=["hide-input"]
from paper_lib.figures.people import changes_by_layer, personal_wers
from paper_lib.figures.resets import reset_columns
from paper_lib.figures.style import show
from paper_lib.summaries.captions import at_the_line

effects = {size: layer_effects(people)}
found = at_the_line(effects)
show(
    reset_columns(effects, {size: intact_wer(people)}),
    caption=f"{found} "
    "WER of people after the reset of one layer, mean over trainings and draws; dots: each of them. Blue: "
    "re-initialised, the weights of step 0 of the synthetic training. Orange: re-randomised. Whiskers: 95 % intervals "
    f"({people.varied}); they are of the WER itself, while classes go by its paired change, drawn below. Dashed: the "
    "intact model.",
    alt=f"{found} "
    "A pair of columns per layer: word error rate of people with that layer re-initialised or re-randomised.",
    name="human-columns",
)

# %% [markdown]
# ## Listen
#
# Some utterances of the test, and what the first fine-tuned model makes of them: as it is, and with one layer put
# back to step 0.

# %% tags=["hide-input"]
from paper_lib.corpus import open_corpus
from paper_lib.figures.sound import player
from paper_lib.paths import MissingDataError

result = records[0].reset.result
harm = people.harm()[0]
misheard = {"as it is": result["intact"]} | {
    f"without layer {layer}": next(
        reset["misheard"]
        for reset in result["resets"]
        if reset["layer"] == layer and reset["kind"] == "re-initialisation"
    )
    for layer in (harm.argmin() + 1, harm.argmax() + 1)
}
heard = {name: spoken.hypotheses(of) for name, of in misheard.items()}


def sound(utterance_id):
    """Returns a player of a recording, or a dash where the recordings are not at hand."""
    try:
        waveform = open_corpus(human.corpus).waveform(utterance_id)
    except MissingDataError:
        return "–"
    sounding = player(waveform, utterance_id)
    wide = f'<div style="min-width: 14rem">{sounding.html}</div>'
    return Markup(wide, text=sounding.text)


table(
    [
        (
            spoken.speakers[place],
            sound(spoken.ids[place]),
            said,
            *(texts[place] or "(nothing)" for texts in heard.values()),
        )
        for place, said in list(enumerate(spoken.references))[50::100]
    ],
    ["Person", "Sound", "Said", *heard],
    "Sounds are there where the page was built beside the recordings (Speech Commands, Pete Warden, CC BY 4.0). The "
    "layers are the one whose reset does least harm in this model, and the one whose reset does most.",
)

# %% [markdown]
# ## Which layers needed the people?
#
# A third kind of reset puts one layer back to what it was *before it met people*: its weights at the end of the
# synthetic training. Where that does no harm, what the layer had learnt from the synthesiser was enough.

# %% tags=["hide-input"]
unlearnt = Sweeps.of([record.unlearnt.result for record in records])
back = {
    "synthetic speech: back to step 0": reinitialised(synthesised),
    "people: back to step 0 of the synthetic training": reinitialised(people),
    "people: back to the end of the synthetic training": reinitialised(unlearnt),
}
ambient = {
    name: [effect.layer for effect in effects if effect.classification == "ambient"]
    for name, effects in back.items()
}
show(
    changes_by_layer(back),
    caption="WER change by the reset of one layer, in points, with intervals that hold together for the layers of a "
    "row. Dotted: the margin of 2 points; the scale is logarithmic beyond. Round: ambient, square: critical, diamond: "
    "unresolved. Ambient are "
    + "; ".join(f"{len(layers)} ({name})" for name, layers in ambient.items())
    + f" of {len(reinitialised(people))} layers.",
    alt="Three rows of intervals by layer: the change in word error rate when the layer is put back. Ambient are "
    + "; ".join(f"{name}: {len(layers)}" for name, layers in ambient.items())
    + ".",
    name="three-resets",
)

# %% tags=["hide-input"]
pairs = {
    "synthetic against people, both back to step 0": (synthesised, people),
    "people: back to step 0 against back to the synthesiser": (people, unlearnt),
}
rows = []
for name, (first, second) in pairs.items():
    plain = association(first.harm(), second.harm())
    at_depth = association(first.harm(), second.harm(), given_depth=True)
    rows.append(
        (
            name,
            f"{plain[0]:.2f}",
            p_value(plain[1]),
            f"{at_depth[0]:.2f}",
            p_value(at_depth[1]),
        )
    )
table(
    rows,
    ["Harm by layer", "ρ", "p", "ρ at fixed depth", "p"],
    "Do the same layers matter? Spearman's ρ over layers between two profiles of harm (mean over trainings, of which "
    f"there {'are' if people.trainings > 1 else 'is'} {people.trainings}), plain and with what a parabola in depth "
    "tells taken out.",
)

# %% [markdown]
# **What it shows.** A high ρ says that fine-tuning on people left the ranking in place: a layer that could be put back
# in the model of synthetic voices can be put back in the model of people that came from it. Whether a model that had
# heard people alone would rank its layers so is not told. ρ at fixed depth asks for more than *the upper layers matter
# in both*.
#
# ## Another synthesiser
#
# Between one synthesiser and people lies another. *flite* was made from recordings of people; espeak-ng, whose voices
# the models learnt from, computes its sounds by rules. The same sentences by flite's four voices, through the same
# microphones and rooms, bound what belongs to espeak-ng alone.

# %% tags=["hide-input"]
others = [record for record in on_synthetic_speech() if record.other_voices]
if others:
    flite = Sweeps.of([record.other_voices.result for record in others])
    own = Sweeps.of([record.reset.result for record in others])
    ranked = association(own.harm(), flite.harm())
    ranked_at_depth = association(own.harm(), flite.harm(), given_depth=True)
table(
    [
        ("espeak-ng, as in training", percent(intact_wer(own)), len(own.words)),
        ("flite", percent(intact_wer(flite)), len(flite.words)),
    ],
    ["Voices", "WER, % [95 %]", "Voices in the test"],
    f"Trained models of size {size} that have heard both: {len(others)}. With layers re-initialised, "
    f"the harm on flite goes with the harm on espeak-ng at ρ = {ranked[0]:.2f} ({p_text(ranked[1])}), at fixed "
    f"depth at ρ = {ranked_at_depth[0]:.2f} ({p_text(ranked_at_depth[1])}).",
) if others else paragraph("No model was tested on flite yet.")

# %% [markdown]
# Four voices are four: the interval is wide, and it is right to be. And where a model mishears most of what is said,
# the harm of a reset tells little, for little is left to harm. A model that knows one synthesiser knows that
# synthesiser; numbers of this book that rest on synthetic speech are numbers of *its* voices.
#
# ## People as clients
#
# {doc}`federated_dropout` asks of a streaming model what clients can leave out, and calls few of its layers
# {term}`ambient <ambient layer>`. Here clients begin with the model of the pages before, ConformerS, which has many,
# trained on synthetic speech of all domains. What it lacks is people. A client is a person with the recordings that
# they made; nobody draws the shares, and no two clients are alike: that is what *non-IID* means. The server knows the
# model and, as the one thing beside, the mean and the deviation of the clients' features, which are sums that clients
# can send under the same protection as their updates.

# %% tags=["hide-input"]
from paper_lib.claims.findings import adapted_by
from paper_lib.federated.comparison import Adapted, last_quarter, late_gain
from paper_lib.results import by_step
from paper_lib.studies.federated import FIRST_PLANS, federated_dropout
from paper_lib.studies.measurements import NotMeasuredError

SF = (human.adaptation.held_out,)
try:
    adapted = federated_dropout(human, plans=FIRST_PLANS).records()
except NotMeasuredError:
    adapted = None
not_yet = paragraph("Federated learning with people has not been measured yet.")
if adapted:
    ends = {
        "before": adapted.before,
        "federated": adapted.plans[0].adaptations,
        "centralised": adapted.centralised,
    }
    models, forgot = (
        {
            name: Adapted.of([one.result for one in of], heard)
            for name, of in ends.items()
        }
        for heard in (SF, tuple(human.adaptation.corpus.domains))
    )
    rounds = human.adaptation.federated.rounds
    curves = [by_step(r.result["dev_wer"]) for r in adapted.plans[0].adaptations]
    gained = late_gain(curves)
    late, then, last = last_quarter(curves)
table(
    [
        (name, percent(one.mean.estimate()), percent(forgot[name].mean.estimate()))
        for name, one in models.items()
    ],
    ["Model", "WER of people, % [95 %]", "Of synthetic speech, %"],
    f"{size} on people, before and after {rounds} rounds of FedAvg, and with the clients' speech pooled at the server "
    "(centralised), always with the clients' feature statistics. The last quarter of the rounds brought "
    f"{100 * gained:.0f} % of the whole gain on dev speech, but from round {late} to {rounds} its WER still fell from "
    f"{100 * then:.1f} to {100 * last:.1f} %: differences between plans are of models that have not "
    "learnt to their end. Nothing in them keeps what the model knew before: the last column tells what is left of it."
    if gained is not None
    else "",
) if adapted else not_yet

# %% [markdown]
# A mean hides whom it is a mean of. Here is every person of the test.

# %% tags=["hide-input"]
if adapted:
    by_person = {name: one.errors.mean(0) / one.words for name, one in models.items()}
    lose = (by_person["federated"] > by_person["before"]).mean()
    worst = (by_person["federated"] > 2 * models["federated"].mean.value).mean()
show(
    personal_wers(by_person),
    caption="Share of the people of the test whose WER is at most that of the axis, mean over seeds; a WER beyond "
    f"100 % is drawn as 100 %. After federated learning {100 * lose:.0f} % of the people are understood worse than "
    f"before it; {100 * worst:.0f} % have more than twice the mean WER.",
    alt="Three rising curves: the share of people by their word error rate, before and after federated learning and "
    "after centralised training.",
    name="personal-wer",
) if adapted else not_yet

# %% [markdown]
# ## Does it pay to drop in ambient layers?
#
# Federated Dropout lets clients train smaller layers. The paper's plan drops half of the feed-forward units in
# *ambient* layers, four of them here, and a tenth elsewhere. At equal numbers of parameters dropped, does it do less
# harm than dropping in the four most *critical* ones, or in all layers alike (*flat*)?

# %% tags=["hide-input"]
from paper_lib.claims import points
from paper_lib.figures.differences import PRIMARY, Difference, forest
from paper_lib.summaries.words import (
    counted,
    layers_named,
    sentence,
    worse_of,
)

if adapted:
    plans = {plan.name: adapted_by(plan, SF) for plan in adapted.plans}
    pairs = [("crit-4", "amb-4"), ("flat-4", "amb-4"), ("amb-4", "none")]
    asked, *others = (
        Difference.of(f"{worse} − {better}", plans[worse].less(plans[better]))
        for worse, better in pairs
    )
    rests_on = (
        f"Intervals are over {counted(len(adapted.before), 'seed')} and {len(models['before'].words)} people."
        + (
            " With one seed they say nothing of other trainings."
            if len(adapted.before) == 1
            else ""
        )
    )
    found = sentence(
        f"{asked.name} is {points(asked.estimate)}, {worse_of(asked.estimate, *pairs[0])}."
    )
show(
    forest({PRIMARY: [asked], "other": others}),
    caption=f"{found} That is the paper's question; to the right of 0 it would have its answer. Differences of the WER "
    f"of people after federated learning, paired by person, 95 % intervals. {rests_on}",
    alt=f"{found} A forest plot: three differences between plans with their intervals beside a line at 0.",
    name="people-differences",
) if adapted else not_yet

# %% tags=["hide-input"]
table(
    [
        *((name, percent(one.mean.estimate())) for name, one in plans.items()),
        *(
            (f"{one.name}, points", percent(one.estimate, sign=True))
            for one in (asked, *others)
        ),
    ],
    ["Plan", "WER of people, % [95 %]"],
    "WER of people after federated learning by plan, and the differences of the figure. The ranking is that of the "
    "first model on synthetic dev speech. Its most ambient layers, and its most critical ones: "
    + "; ".join(
        f"{', '.join(map(str, sorted(ranking[:4])))} and {', '.join(map(str, sorted(ranking[-4:])))} (seed {seed})"
        for seed, ranking in zip(adapted.seeds, adapted.rankings, strict=True)
    )
    + f". {rests_on}",
) if adapted else not_yet

# %% tags=["hide-input"]
if adapted:
    layers = len(people.units)
    chosen = [set(ranking[-4:]) for ranking in adapted.rankings]
    at_the_end = sum(of == set(range(layers - 3, layers + 1)) for of in chosen)
    ambient = {
        effect.layer
        for effect in reinitialised(people)
        if effect.classification == "ambient"
    }
    spared = sorted(set.union(*chosen) & ambient)
paragraph(
    f"Rank is not told from depth here: in {at_the_end} of {counted(len(chosen), 'seed')} the four most critical "
    f"layers are the last four of {layers}, and no plan by depth was run beside them.",
    f"And the ranking is of synthetic speech. For people {layers_named(spared)} of those layers "
    f"{'is' if len(spared) == 1 else 'are'} ambient: a server that plans before it has met its clients cannot know."
    if spared
    else "",
) if adapted else not_yet

# %% [markdown]
# ## Is GroupNorm ideal for clients?
#
# The paper remarks of norms: {term}`GroupNorm` is *also ideal for Federated Learning*, and refers to
# {cite}`hsieh2020noniid`. The reason there is that clients are unlike each other. {term}`BatchNorm` normalises a batch
# by the statistics of that batch, and a client's batches hold one voice and one microphone. GroupNorm takes its
# statistics from each utterance alone, wherever it trains.
#
# So S was trained on synthetic speech with BatchNorm, too. From each {term}`seed` both models meet the same people in
# the same rounds, with the same batches. As FedAvg does, a client sends its running mean and variance back with its
# update, and the server takes their mean, weighted by utterances. One norm may be the worse without any client. That
# is what the pooled model tells, which hears the same speech at the server: the WER that FedAvg adds to it is the
# clients' part.

# %% tags=["hide-input"]
from paper_lib.figures.people import norms_by_round
from paper_lib.studies.norms import federated_norms

try:
    norms = federated_norms(human).records()
except NotMeasuredError:
    norms = None
if norms:
    seeds = len(norms.norms[0].before)
    learning = {
        "FedAvg": {one.norm: one.federated for one in norms.norms},
        "the same speech, pooled": {one.norm: one.centralised for one in norms.norms},
    }
    curves = {
        way: {
            norm: [by_step(record.result["dev_wer"]) for record in of]
            for norm, of in by_norm.items()
        }
        for way, by_norm in learning.items()
    }
show(
    norms_by_round(curves),
    caption="WER on the dev speech of people by rounds, with either norm"
    + (f"; thick: mean over {seeds} seeds, thin: each." if seeds > 1 else ", one seed.")
    + " Both panels have the same people in the same rounds. Beyond 5 % the scale is logarithmic.",
    alt="Two panels of falling curves: the word error rate with BatchNorm and with GroupNorm by rounds of federated "
    "learning, and by rounds of pooled training.",
    name="norms-by-round",
) if norms else paragraph(
    "Norms under clients have not been measured yet.", name="norms-by-round"
)

# %% tags=["hide-input"]
from paper_lib.claims.sentences import clients_by_norm

if norms:
    by_norm = {one.norm: one.adapted(SF) for one in norms.norms}
    for of_norm in by_norm.values():
        of_norm["added"] = of_norm["federated"].less(of_norm["centralised"])
    batch, group = by_norm.values()
    ways = {
        "before": "before",
        "centralised": "pooled",
        "federated": "FedAvg",
        "added": "FedAvg − pooled, points",
    }
    sentence = clients_by_norm(
        *(
            {norm: of_norm[way] for norm, of_norm in by_norm.items()}
            for way in ("federated", "centralised")
        )
    )
table(
    [
        (
            name,
            *(
                percent(of_norm[way].mean.estimate(), sign=way == "added")
                for of_norm in by_norm.values()
            ),
            percent(batch[way].less(group[way]).mean.estimate(), sign=True),
        )
        for way, name in ways.items()
    ],
    ["Model", *(f"{norm}, % [95 %]" for norm in by_norm), "Difference, points"],
    f"WER of people by norm. {sentence} The cell at the lower right is what the claim is judged by; differences are "
    "paired by seed and speaker.",
) if norms else None

# %% tags=["hide-input"]
from paper_lib.claims.findings import judge_federated_norms
from paper_lib.figures.claims import claims_table

claims_table(
    judge_federated_norms(norms),
    "The claim beside this measurement; the verdict is computed from the records.",
) if norms else None

# %% [markdown]
# **What it does not show.** The rates of clients and server were chosen with GroupNorm; BatchNorm at its own best rates
# may do better. Averaged running statistics are the plain way to have BatchNorm in FedAvg; to leave them with each
# client, or to freeze them, are others. And these clients differ in voice, microphone and number of recordings, while
# all of them say the same nine words: Hsieh et al. give clients different *classes*, which is a harder case.
#
# ## Which claims change their verdict?

# %% tags=["hide-input"]
from paper_lib.claims.findings import CLAIMS, findings
from paper_lib.figures.claims import OPENS, claim_cell, verdict_cell

found = {
    one.name: {finding.claim.id: finding for finding in findings(one)}
    for one in (synthetic, human)
}
table(
    [
        (
            claim_cell(claim),
            *(
                verdict_cell(found[name][claim.id])
                if claim.id in found[name]
                else "not measured"
                for name in found
            ),
        )
        for claim in CLAIMS
        if claim.id in found[human.name]
    ],
    ["The paper says", "Synthetic speech", "People"],
    f"The claims that were measured on people: {len(found[human.name])} of {len(CLAIMS)}. {OPENS}",
) if found[human.name] else None

# %% [markdown]
# ## What this does not show
#
# - Nine words by people who knew that they were recorded are not conversation. Words are cut out and put in a row, so
#   nothing runs from one word into the next.
# - The fine-tuned models keep what the synthetic training began with. That layers matter alike in both can come from
#   that common beginning; models that learn from people alone would tell, and with this little speech they learn
#   nothing.
# - The trainings share their people. Intervals over people say how other people would fare with these trainings and
#   with others of their kind, not with other recordings to learn from.
#
# ## Ask yourself

# %% tags=["remove-input"]
summary.questions

# %% [markdown]
# ## Run it again
#
# ```
# python -m paper_lib download speech_commands
# python -m paper_lib records --profile human
# python -m paper_lib records --profile human --make
# ```
#
# The first line fetches the recordings (2.3 GB); `PAPER_LIB_SPEECH_COMMANDS` names a directory that has them. The
# second lists what is measured and what is missing, the third measures it, and `make book PROFILE=human` draws all
# chapters from it.

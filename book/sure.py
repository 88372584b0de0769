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
# # How sure is this?
#
# You will know what an interval and a verdict of this book promise, and how often they keep it.
#
# Every word error rate that carries a verdict comes with an interval, and every verdict with a rule. This page says
# what an interval covers and what it does not, and shows by simulation how often the intervals hold and how often the
# tests cry wolf.

# %% tags=["parameters", "hide-input"]
profile = "quick"

# %% tags=["hide-input"]
from paper_lib.chapters import begin

chapter = begin("sure", globals())

# %% [markdown]
# ## Two kinds of chance
#
# **Which training is this?** Another {term}`seed` gives another model, and its layers do other harm when they are
# reset. A claim about *a size* or *a norm* or *a plan* is about all the trainings that one might make, so it needs
# several, and its interval must be about them.
#
# **Who speaks in the test?** What one speaker says is not independent: a voice that the model cannot follow is
# misunderstood in sentence after sentence. A thousand sentences by ten people are closer to ten observations than to a
# thousand. So the units are *speakers*, each with everything that they say.
#
# How much does that matter? Here is the standard error of the intact {term}`WER`, mean over the trainings of a size, if
# *sentences* were independent, if *speakers* are, and if *accents* are: no two synthetic speakers have one voice, but
# an accent has many speakers, who may be alike too.

# %%
import numpy as np

from paper_lib.claims.findings import sweeps_by
from paper_lib.evaluation import Spoken
from paper_lib.figures.tables import percent, table
from paper_lib.inference import rate
from paper_lib.profiles import profile_of
from paper_lib.studies import model_size

shown = profile_of(chapter.parameters.profile)
records = model_size(shown).records()
sweeps = sweeps_by(records, "size")


def standard_errors(results):
    """Returns the standard error of the WER with sentences, speakers and accents as units."""
    spoken = Spoken.read(results[0])
    wrong = np.mean([spoken.errors(result["intact"]) for result in results], axis=0)
    accents = [speaker.partition("+")[0] for speaker in spoken.speakers]
    errors = []
    for units in (spoken.ids, spoken.speakers, accents):
        names, owner = np.unique(units, return_inverse=True)
        by_unit = np.eye(len(names))[owner]
        mean = rate((wrong @ by_unit)[None], spoken.words @ by_unit)
        errors.append(np.sqrt(mean.speakers.variance))
    return errors


# %% tags=["hide-input"]
rows = []
for size, of_size in sweeps.items():
    results = [record.reset.result for record in records if record.size == size]
    sentences, speakers, accents = standard_errors(results)
    rows.append(
        (
            size,
            f"{100 * of_size.intact.sum() / (of_size.words.sum() * of_size.trainings):.2f}",
            *(f"{100 * error:.2f}" for error in (sentences, speakers, accents)),
            f"{speakers / sentences:.1f} ×" if sentences else "–",
        )
    )
table(
    rows,
    [
        "Size",
        "Intact WER, %",
        "By sentences",
        "By speakers",
        "By accents",
        "Speakers over sentences",
    ],
    "Standard error of the intact WER in points, by what is taken as independent. The book uses speakers. Of "
    "accents there are few, which makes their column a rough one.",
)

# %% [markdown]
# The last column is the answer: where many speakers say a few sentences each, the choice matters little; with few
# speakers who say much it would.
#
# And how much is each kind of chance, in the number that the sizes are compared by, the mean harm of a reset?

# %% tags=["hide-input"]
from paper_lib.claims.model_size import mean_harm

rows = []
for size, of_size in sweeps.items():
    mean = rate(mean_harm(of_size), of_size.words)
    parts = [mean.trainings, mean.speakers]
    rows.append(
        (
            size,
            percent(mean.estimate(), sign=True),
            *(f"{100 * np.sqrt(p.variance):.2f}" if p else "–" for p in parts),
        )
    )
table(
    rows,
    ["Size", "Mean harm, points [95 %]", "By trainings", "By speakers"],
    "What the mean WER change by a reset varies with: standard errors in points. Where trainings dominate, more test "
    "speech would not help.",
)

# %% [markdown]
# ## How an interval is made
#
# From a table of word errors, trainings by speakers, come two distances. For the **trainings** it is Student's *t*
# times their standard error. (What is peculiar to a speaker in a training is in this spread and in that of the
# speakers; it is taken out here, but never more than three quarters.) For the **speakers** it is Hall's (1992) interval
# of a mean: Student's *t* with a correction for skewness, because a few speakers make most of the errors, and the
# interval must reach farther up than down. The skewness that a few speakers show falls short of the true one, so it is
# taken a quarter larger. The end of the interval lies at the root of the sum of both squares, which is how the
# intervals of a sum's parts combine (Zou and Donner 2008). With one training there is the second distance alone, and
# the interval is about this one trained model.
#
# **Layers learn from each other.** With two or three trainings, Student's *t* for one layer among sixteen reaches 204
# or 18 standard errors: nothing could ever be shown. But sixteen layers together do tell how much trainings differ. So
# a layer's variance is averaged with what the other layers let expect of it, as Smyth (2004) does with genes: the part
# that is peculiar to speakers, which the speakers tell, and a share of the layer's own harm, the same share for all
# layers. Expectation counts as much as three trainings do, so that a layer which is unlike the others keeps an interval
# of its own; that the share is not known exactly makes intervals wider. Because harm varies by a share of itself, the
# upper end lies farther off than the lower one where harm is large. Layers share the correction for skewness, too: all
# are tested by the same speakers, and the skewness of one layer alone is hardly known (`paper_lib/moderation.py`).
#
# Nothing is resampled, so no interval depends on a seed. Where several intervals must hold together, those of all
# layers of a model, each has confidence 1 − 0.05 / *L*.
#
# ## How a test is made
#
# Whether the *trainings* of a size agree: the layers of each are shuffled anew, and *p* is how often shuffled trainings
# agree as well ({term}`permutation test`; of more than eight layers 99,999 random orders, of fewer all). Whether
# something goes with something else *from layer to layer*, a signature with harm, harm with depth: the layers are the
# units, and they are shuffled in all trainings alike. A *t*-test over trainings would take one profile of seven layers
# for five independent ones: where there is no connexion it finds one in more than a quarter of the cases
# (`tests/test_agreement.py` simulates it). These tests are one-sided, at 5 %: they ask whether what the paper says is
# there. Intervals have two sides.
#
# ## Simulated
#
# A method is believed when it has been tried where the truth is known. Below, trainings and speakers are drawn by lot,
# as unequal and as skewed as the real ones: intervals are made by the same functions as on every page, and counted.

# %%
import json

from paper_lib.figures.coverage import simulated
from paper_lib.figures.style import show
from paper_lib.paths import published_records

found = json.loads((published_records(".") / "coverage.json").read_text())
intervals, tests = found["intervals"], found["tests"]

# %% tags=["hide-input"]
several = [line["of_95"] for line in intervals if line["trainings"] > 2]
two = [line["of_95"] for line in intervals if line["trainings"] == 2]
one = [line["of_95"] for line in intervals if line["trainings"] == 1]
wolf = [line["rejects"] for line in tests]
show(
    simulated(intervals, tests),
    caption=f"Of the intervals of 95 %, {100 * min(one):.1f} to {100 * max(one):.1f} % hold with one training, "
    f"{100 * min(two):.1f} to {100 * max(two):.1f} % with two, and {100 * min(several):.1f} to "
    f"{100 * max(several):.1f} % with three or five. Tests at 5 % reject what is true in "
    f"{100 * min(wolf):.1f} to {100 * max(wolf):.1f} % of the cases. A dot is one setting, "
    f"{found['draws']:,} simulated experiments: its standard error is about half a point. Grey: 93 to 97 %.",
    alt="Shares of intervals that hold the truth, by the number of trainings, most between 93 and 97 per cent. And "
    "shares of tests that reject what is true, about five per cent or less.",
    name="coverage",
)

# %% tags=["remove-input", "in-short"]
from paper_lib.figures.markup import in_short
from paper_lib.summaries.making import coverage_in_short

in_short(coverage_in_short(found))

# %% tags=["hide-input"]
groups = {}
for line in intervals:
    groups.setdefault((line["interval"], line["trainings"]), []).append(line)
table(
    [
        (
            name,
            trainings,
            *(
                f"{100 * min(values):.1f} to {100 * max(values):.1f}" if values else "–"
                for values in (
                    [line[level] for line in lines if level in line]
                    for level in ("of_95", "of_layers", "together", "width")
                )
            ),
        )
        for (name, trainings), lines in groups.items()
    ],
    [
        "Interval of",
        "Trainings",
        "Of 95 %",
        "Simultaneous",
        "All of a model",
        "Length",
    ],
    "How many in a hundred intervals hold, least and most over the settings: 20 to 80 speakers, WERs from 1 to 10 %, "
    "speakers who differ by 50 to 200 %, trainings by 0 to 40 %. Simultaneous: of the confidence that one of 16 (or 6) "
    "layers has, 99.7 (or 99.2) %. gamma: values per training from a skewed distribution. moderated: layers learn from "
    "each other; in a quarter of the settings they differ in how much trainings vary (30 % of their harm, times or by "
    "two). The length is that of the simultaneous intervals in per cent of that of each layer alone (median).",
    row_headers=2,
    folded="The intervals by kind",
)

# %% [markdown]
# **What it shows.** With two trainings nobody can know how much trainings differ in one number, so its interval is
# rather too wide than too narrow: where trainings do not differ it holds up to 99 % instead of 95 %. Shorter ones were
# tried, and promise too much: Student's *t* with the degrees of freedom of Satterthwaite (1946) holds 87 % with two
# trainings and normal errors; with all that is peculiar to speakers in a training taken out of the trainings' variance,
# 89 to 98 %. With more trainings the interval holds what it promises, with three up to 98 %; where trainings differ by
# 40 % of the harm, and skewly, it falls short by up to three points.
#
# Layers that learn from each other have intervals a tenth as long with two trainings of 16 layers, and half as long
# with three, and they hold 94 to 99 %. All of a model together hold 95 % and more where the layers are alike in
# how much trainings vary, by nothing, 20 or 40 % of their harm. Where they are as unlike as 15 and 60 %, it is 91 to
# 92 % with 16 layers and 90 to 93 % with six: a layer that varies more than all others is then called too early.
#
# One training heard by few speakers promises too much: of its simultaneous intervals, which should hold 99.7 %, those
# over 20 speakers hold as little as 98.4 % where the WER is 1 %. The tests here have 80 speakers and more, but of M and
# L, and on {doc}`layer_sets`, there are such intervals alone. Those of pairs of layers, which promise still more, and
# the tests on pairs were not simulated.
#
# Where all 16 layers of *one* training lie at the margin, so that any class is wrong, one of them is called ambient or
# critical in 3 % of the cases with 20 speakers and in 4 % with 80. With each layer's own skewness it was 14 and 7 %: a
# few speakers do not show how skewed the errors of one layer are.
#
# Some tests are far below 5 %: with few layers and few trainings there are too few orders for a small *p*, and nothing
# can be found. At fixed depth a shuffle alone would find something in up to 6.5 %, because what depth leaves varies
# more in the middle of a stack than at its ends; so its *p* is taken 1.3 times as large.
#
# ## What hangs on the margin
#
# *Ambient* needs a line: harm below *what*? Here is how many layers are ambient as the line is moved.

# %% tags=["hide-input"]
from paper_lib.figures.margins import margins_table

margins_table(sweeps)

# %% [markdown]
# ## Many claims

# %% tags=["hide-input"]
from paper_lib.claims.findings import CLAIMS, findings
from paper_lib.figures.markup import paragraph

judged = findings(shown)
paragraph(
    f"Of the {len(CLAIMS)} claims of the paper profile {shown.name} judges {len(judged)}, at 5 % or less each: if all "
    "were empty, about one might come out as reproduced by chance."
)

# %% [markdown]
# {doc}`claims` marks those that survive when all are tested together, by the procedure of Holm (1979), and says what is
# corrected for and what is not.
#
# ## What no interval here covers
#
# - *Another corpus.* All trainings of a profile hear the same sentences by the same speakers; only initial weights and
#   the order of batches differ. Other speech may rank layers differently.
# - *Other sentences.* A speaker is drawn with all that they say, but the grammar is one.
# - *Another synthesiser, or people.* The speakers are a sample of espeak-ng's voices, and of nothing else.
# - *Other settings.* The learning rate, the length of training, the margin, the number of rounds were chosen once.
# - *Speakers of one accent* are taken as independent; the first table shows what that makes of the standard error.
#
# ## Run it again
#
# ```
# python benchmarks/coverage.py
# ```
#
# simulates everything on this page anew, in some ten minutes on one core.

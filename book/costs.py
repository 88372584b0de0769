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
# # What it costs
#
# You will know how fast this book's code is beside other libraries, and how time and memory grow with the work.
#
# This book trains, resets and adapts with code of its own. Is that code fast? Would a known library be faster? And what
# happens to time and memory when the work grows a hundredfold?

# %% tags=["parameters", "hide-input"]
profile = "quick"

# %% tags=["hide-input"]
from paper_lib.chapters import begin

chapter = begin("costs", globals())

# %% tags=["hide-input"]
import json

from paper_lib.figures.costs import (
    clock,
    compared,
    finding,
    grown,
    listed,
    others,
    slopes,
)
from paper_lib.figures.style import show
from paper_lib.figures.tables import table
from paper_lib.paths import published_records

found = json.loads((published_records(".") / "benchmark.json").read_text())
rows = found["rows"]

# %% tags=["remove-input", "in-short"]
from paper_lib.figures.markup import in_short
from paper_lib.summaries.making import costs_in_short

in_short(costs_in_short(rows, slopes(found["growth"], "seconds")))

# %% [markdown]
# ## How it was measured
#
# **First the same numbers, then the clock.** A comparison says nothing if one of the two computes less. So every row
# was checked before it was measured. Our weights were put into the other library's layers, and outputs and gradients
# had to be the same numbers; the loss had to agree with a plain recursion in double precision; two decoders had to find
# the same text; two federated rounds had to end with the same model. The last table of the next section tells how well.
#
# **By turns.** The machine was shared, and how fast it was changed from minute to minute. So nobody was measured alone:
# one call of ours, one of theirs, one of ours, and so on. The tables show medians. A *ratio* is the median over the
# turns: 2 means that the other one takes twice as long. It is not the quotient of the medians, which compares a quiet
# minute of one with a busy minute of the other.
#
# **Against the limit.** No Conformer can be faster than the matrix products in it. A step, forward and backward, takes
# about six operations for each weight and each frame. The share of the limit is that number over what the same cores do
# in one large matrix product, measured before and after; both are the fastest of several.

# %% tags=["hide-input"]
versions = found["versions"]
table(
    [
        ("Processor", found["processor"]),
        ("Cores that were seen", str(found["cores"])),
        ("Instructions", ", ".join(found["flags"]) or "–"),
        ("System", found["system"]),
        ("Threads that wait", f"{found['waiting threads']} (OMP_WAIT_POLICY)"),
        (
            "Versions",
            ", ".join(f"{name} {number}" for name, number in versions.items()),
        ),
        ("Date", found["date"]),
        ("The whole benchmark", f"{found['minutes']} minutes"),
        ("GPU", "not measured"),
    ],
    ["What", "Here"],
    "Where and with what the numbers of this page were measured. The machine was shared with other work.",
)

# %% [markdown]
# ## Against others

# %% tags=["hide-input"]
finding(found)

# %% tags=["hide-input"]
compared_parts = ("encoder", "loss", "decoding", "federated")
against = [
    row for row in rows if row["group"] in compared_parts and row["threads"] == 1
]
ratios = [line["ratio"] for row in against for line in others(row)]
show(
    compared(against),
    caption=f"The other code is slower in {sum(ratio > 1 for ratio in ratios)} of {len(ratios)} comparisons, those to "
    "the right of the dotted line. One thread; a dot is the median over the turns, its bar spans half of them. A ring: "
    "with oneDNN for matrix products, as ours.",
    alt="Dots that show how many times as long other libraries take as the book's own parts, on a logarithmic axis, "
    f"from {min(ratios):.1f} to {max(ratios):.1f}; encoder, loss, decoding and federated rounds below each other.",
    name="peers",
)


# %% tags=["hide-input"]
def peers_table(group, folded, caption, more=()):
    """Shows the rows of a group, `folded`: medians, ratios to ours, and the columns `more` of the record."""
    lines = []
    for row in rows:
        if row["group"] != group:
            continue
        for line in row["seconds"]:
            ours = line["name"] == "ours"
            ratio = f"{line['ratio']:.2f}" if "ratio" in line else "–"
            extra = [
                str(row.get(name.format(line["name"]), "–"))
                if ours or "{}" in name
                else "–"
                for name in more
            ]
            lines.append(
                (
                    row["what"],
                    row["threads"],
                    line["name"],
                    clock(line["median"]),
                    ratio,
                    *extra,
                )
            )
    heads = [name.replace("{} ", "") for name in more]
    columns = [
        "Work",
        "Threads",
        "By",
        "Median",
        "Ratio to ours",
        *heads,
    ]
    return table(lines, columns, caption, row_headers=3, folded=folded)


peers_table(
    "encoder",
    "Encoders",
    "The stack of Conformer layers, forward and backward, in training mode without dropout, lengths from 60 to 100 %. "
    "torchaudio's layers know no positions, which is less work; neither of the others keeps padding out of its "
    "convolution and its norm.",
    more=("share of matmul",),
)

# %% tags=["hide-input"]
peers_table(
    "dropout",
    "Dropout",
    "What dropout of 0.1 adds to a step of our layers. The mini models train without.",
)

# %% tags=["hide-input"]
peers_table(
    "loss",
    "Transducer loss",
    "The transducer loss with its gradient. Peak: memory beyond the logits.",
    more=("logits MiB", "{} peak MiB"),
)

# %% tags=["hide-input"]
peers_table(
    "decoding",
    "Greedy decoding",
    "Greedy decoding of the same test sentences by the shipped streaming model, encoder excluded. torchaudio's search "
    "has a beam of width 1, which ranks by probability and so finds another text now and then.",
    more=("utterances", "words found"),
)

# %% tags=["hide-input"]
peers_table(
    "sweep",
    "Reset sweeps",
    "A reset sweep, four resets a layer, against as many evaluations of the whole model. What lies below a reset layer "
    "is computed once. The sweep over any model evaluates each reset in full; beside it, what these "
    "evaluations alone take within it.",
)

# %% tags=["hide-input"]
peers_table(
    "federated",
    "Federated rounds",
    "One round of federated learning. What a client does is one function, called by all three; the rest is the "
    "frameworks' own. Flower's start, some seconds, is left out.",
)

# %% tags=["hide-input"]
peers_table(
    "training",
    "A training step",
    "A whole training step of the mini model M: batch, both losses, gradient, AdamW.",
)

# %% tags=["hide-input"]
equal = {(row["group"], row["what"]): row["equal"] for row in rows if row["equal"]}
table(
    [(*work, found_equal) for work, found_equal in equal.items()],
    ["Part", "Work", "Found equal before it was measured"],
    "What agreed, and by how much of the largest value it differed at most.",
    row_headers=2,
    folded="What was equal",
)

# %% [markdown]
# ## What made it fast, and what still takes the time
#
# These changes gave most, each measured when it was made:

# %% tags=["hide-input"]
table(
    [
        (
            "Matrix products by oneDNN; MKL leaves AVX-512 unused on an AMD processor. The precision is the same.",
            "encoder S, step without dropout",
            "1.66 s",
            "0.99 s",
        ),
        (
            "The depthwise kernel as a convolution whose memory holds channels last; the gradient of its weights by "
            "Fourier transforms of a length without a large prime factor",
            "8 × 250 × 144, kernel 32",
            "11.6 ms",
            "1.3 ms",
        ),
        (
            "That, one product for queries, keys and values, scores by position in blocks of 64 queries, and fewer "
            "passes in the norms",
            "encoder S, step without dropout",
            "1.97 s",
            "1.66 s",
        ),
        (
            "A byte of chance for each value instead of a double",
            "encoder S, what dropout of 0.1 adds",
            "0.42 s",
            "0.11 s",
        ),
        (
            "The loss in pieces that stay in the cache, both recursions at once along the diagonals of the lattice",
            "16 × 60 × 20 × 1024, value and gradient",
            "105 ms",
            "55 ms",
        ),
        (
            "Decoding that takes every sentence to its next label in each pass",
            "200 sentences, 16 together",
            "207 ms",
            "103 ms",
        ),
        (
            "The reset sweep in pieces of 1500 frames, which stay in the cache",
            "encoder S, 65 models",
            "12.9 s",
            "6.5 s",
        ),
    ],
    ["Change", "Where", "Before", "After"],
    "What each change gave: processor time on one thread, by turns with the code before it, while other work ran.",
)

# %% [markdown]
# Some goals that were set were not reached:
#
# - *A mini encoder should be 1.3 times as fast as torchaudio's.* With 96 channels it is, with 48 it is as fast. There a
#   matrix product takes some 50 microseconds, as long as it takes to start it, and a layer makes 34 products and 250
#   smaller operations, forward and backward. A whole step of the mini model M, which spends a third of its time outside
#   the layers, is hardly faster than before. A layer that is compiled into one operation would need a compiler on every
#   reader's machine.
# - *Two thirds of a matrix product's rate at S, four fifths at M.* They were set when MKL's products, at 100 thousand
#   million operations a second on one core, were the limit; S and M now pass it. Of oneDNN's limit, two and a half
#   times as high, they reach the shares in the table: what is left is the reading and writing of everything that is no
#   product.
# - *Dropout of 0.1 for 3 per cent more.* A step draws 87 million random bytes (S). Drawing them takes a third of the
#   cost, reading and writing the masked values the rest.
# - *A sweep in 0.35 of the time of as many evaluations.* Of the small model above it is; of 16 layers it cannot be. A
#   reset of layer *l* runs the layers from *l* on: with four resets a layer that is 0.55 of the layers of as many
#   evaluations, and only the parts that are done once, the subsampling above all, are saved.
# - *Three times as many federated rounds a minute as pfl and Flower.* All the time of a round is the clients' training,
#   which is one function here: no framework can make it faster or slower.
# - *The default book from nothing in ten minutes.* On two cores with AVX-512 it took 10:12 to 10:39 in three runs (20
#   core-minutes), before its model L was trained once and not twice; on two with AVX2 alone, and L once, 22:23. Of
#   those 42 core-minutes eight trainings took 19, 23 adaptations 12, 21 reset sweeps 4, speech and pages the other 7. A
#   step of its model S takes 0.14 s on such a core, with other work on the second: the convolutions of the subsampling
#   a fifth, matrix products a fifth, and the rest goes to some 15,000 calls, most of them of microseconds. In L, ten
#   times as large, products and convolutions are half of 0.35 s. Were all of these free, and adaptations made of the
#   same parts, more than ten minutes would be left there. So M is trained once now, and no longer twice: an interval
#   over two trainings reaches thirteen standard errors to either side. The book has not been timed since.
# - *Two threads help little* where a layer is small, and nothing where the other core is busy. The book trains one
#   model on each core.
#
# ## When the work grows
#
# On logarithmic axes, a power of the size is a straight line, and its slope is the exponent: 1 means that twice the
# work takes twice the time, 0 that it takes the same. The dashed line has slope 1.

# %% tags=["hide-input"]
growth = found["growth"]
time = slopes(growth, "seconds")
steepest = max(time, key=time.get)
show(
    grown(growth, "seconds"),
    caption=f"Nothing grows faster than with the power {time[steepest]:.1f}, that of {steepest}. Slopes of time, "
    f"fitted to the larger half of the points: {listed(time)}. One thread, each point in a process of its own.",
    alt="Six small figures of time over size on logarithmic axes: utterances, layers, width, frames, clients, "
    "trainings.",
    name="time",
)

# %% tags=["hide-input"]
memory = slopes(growth, "bytes")
flat = {name: slope for name, slope in memory.items() if slope < 0.3}
steep = {name: slope for name, slope in memory.items() if name not in flat}
show(
    grown(growth, "bytes"),
    caption=f"Memory stays nearly the same with more of these: {listed(flat)}. It grows with: {listed(steep)}. Numbers "
    "are slopes. Peak memory of the process above its start; pages of mapped files count.",
    alt="Six small figures of peak memory over size on logarithmic axes: utterances, layers, width, frames, clients, "
    "trainings.",
    name="memory",
)

# %% tags=["hide-input"]
table(
    [
        (
            line["axis"],
            f"{line['points'][0]['size']:,} to {line['points'][-1]['size']:,}",
            f"{clock(line['points'][0]['seconds'])} to {clock(line['points'][-1]['seconds'])}",
            f"{line['exponents']['seconds']:.2f}",
            f"{line['points'][0]['bytes'] / 2**20:.0f} to {line['points'][-1]['bytes'] / 2**20:.0f}",
            f"{line['exponents']['bytes']:.2f}",
        )
        for line in growth
    ],
    [
        "What grows",
        "Sizes",
        "Time",
        "Exponent of time",
        "Memory, MiB",
        "Exponent of memory",
    ],
    "Smallest and largest point, and the exponents at the larger sizes.",
    folded="The numbers of both figures",
)

# %% [markdown]
# ## What it does not show
#
# - *A GPU.* Not measured. There, other things decide.
# - *A quiet machine.* Taking turns makes ratios fair, and the absolute times are still those of a busy machine. With
#   two threads on two shared cores, a thread often waits for the other: those rows say little. Threads wait passively
#   here. Where they spin instead, which is the usual setting, a step of 30 ms took seconds on this machine in a busy
#   minute, ours and the others' alike.
# - *Quality.* The same numbers come out; that is what makes the comparison fair.
# - *All that the others can do.* NeMo, pfl and Flower are made for much more than is asked of them here, pfl and Flower
#   for many machines. A framework that ships models to clients over a network pays for that here, where it has no use.
# - *The growth of real speech.* The utterances of the first axis are made up and short, in the format of the cache, so
#   that a hundred thousand of them fit on a disk.
#
# {doc}`reproduce` tells what a whole book costs by profile.
#
# ## Run it again
#
# ```
# make bench
# ```
#
# installs the other libraries beside the book, measures everything on this page in about a quarter of an hour, and
# writes the record that this page reads. `python -m benchmarks.peers loss` measures one part, and
# `python -m benchmarks.peers training --against ../other` a training step by turns with that of another checkout.

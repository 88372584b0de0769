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
# # Scale it
#
# Two cores and a day make the published numbers. The paper's own sizes on the paper's own speech take more. This page
# counts how much, and tells how the same commands run on a cluster.

# %% tags=["parameters", "hide-input"]
profile = "quick"

# %% tags=["hide-input"]
from paper_lib.chapters import begin

chapter = begin("scale", globals())

# %% tags=["hide-input"]
from paper_lib.figures.tables import table
from paper_lib.profiles import profile_of
from paper_lib.settings import BitsPlan, DropoutPlan
from paper_lib.studies.scale import (
    NOTHING,
    disk_of,
    server_of,
    speeds_here,
    work_of,
)

# %% [markdown]
# ## What was measured
#
# Each published training says how long it took. The operations of its steps, counted by hand for a mean utterance,
# divided by that time are the speed of one core on this sort of model. Machines differed and were shared: the same work
# took several times as long on one of them as on another. Among those of one kind, larger models come nearer to what
# the processor can do.

# %% tags=["hide-input"]
table(
    [
        (encoder, steps, instructions, f"{hours:.1f}", f"{speed / 1e9:.0f}")
        for encoder, steps, instructions, hours, speed in speeds_here()
    ],
    ["Encoder", "Steps", "Instructions", "Hours", "10⁹ operations a second"],
    "The published trainings of profile laptop, one core each: with AVX-512 products in bf16, with AVX2 alone in "
    "single precision.",
)

# %% tags=["hide-input"]
from paper_lib.studies.inventory import Inventory

PUBLISHED = ("laptop", "human")
taken = {}
counted_once = set()  # human begins with trainings of laptop
for name in PUBLISHED:
    for wanted in Inventory(profile_of(name)).wanted():
        if wanted.record and wanted.key not in counted_once:
            counted_once.add(wanted.key)
            of_chapter = taken.setdefault(wanted.chapter, {})
            of_chapter.setdefault(name, []).append(wanted.record.seconds)
sums = {
    name: sum(sum(of.get(name, ())) for of in taken.values()) / 3600
    for name in PUBLISHED
}
table(
    [
        (
            of_chapter.replace("_", " "),
            *(
                text
                for name in PUBLISHED
                for text in (
                    [len(of[name]), f"{sum(of[name]) / 3600:.1f}"]
                    if name in of
                    else ["–", "–"]
                )
            ),
        )
        for of_chapter, of in taken.items()
    ],
    [
        "Chapter",
        *(
            column
            for name in PUBLISHED
            for column in (f"{name}: records", "core-hours")
        ),
    ],
    "What the published records took, by the first chapter that needs them: "
    + ", ".join(f"{hours:.1f} core-hours at {name}" for name, hours in sums.items())
    + ". What is missing, and for how long, the command “records” tells.",
)

# %% [markdown]
# ## What `gpu` and `librispeech` need
#
# **This is an estimate, no measurement.** Operations are counted: of all trainings, and of all resets and adaptations
# on them, by what they cost beside a training. Hours need a speed. We *assume* that a GPU does 30 · 10¹² operations a
# second on these models, about a tenth of what large ones of 2020 to 2023 do in a dense product in bf16. Small models
# stay below that, because a GPU waits for their many small steps; large ones in large batches go above it. A third of
# the speed means three times the hours. With your own GPU's speed *v* the hours are operations / (*v* · 3600).

# %%
SPEED = 30e12  # operations a second of one GPU: an assumption

needs = {name: work_of(profile_of(name)) for name in ("gpu", "librispeech")}
hours = {
    name: sum(work.everything for work in works.values()) / SPEED / 3600
    for name, works in needs.items()
}

# %% tags=["remove-input", "in-short"]
from paper_lib.figures.markup import in_short
from paper_lib.summaries.making import scale_in_short

in_short(scale_in_short(hours, SPEED))

# %% tags=["hide-input"]
table(
    [
        (
            name,
            model,
            f"{work.parameters / 1e6:.1f}M",
            work.trainings,
            f"{work.operations:.1e}",
            f"{work.everything:.1e}",
            f"{work.everything / SPEED / 3600:.1f}",
        )
        for name, works in needs.items()
        for model, work in works.items()
    ],
    [
        "Profile",
        "Model",
        "Parameters",
        "Trainings",
        "Operations of one",
        "Operations of all",
        "GPU-hours, assumed",
    ],
    f"All that the chapters want: {hours['gpu']:.1f} GPU-hours at gpu, {hours['librispeech']:.0f} at librispeech, if a "
    "GPU does 30 · 10¹² operations a second. Speech that is made, and tests on dev speech, are not counted.",
    row_headers=2,
)

# %% [markdown]
# **Money** is GPU-hours × your price of a GPU-hour, plus core-hours for the speech. We know no price that will still
# hold when you read this.
#
# **Disk** is the cache: features of the speech, 58 MB an hour; of each training its last checkpoint (weights and two
# moments) and its first weights; of each adaptation the state of the server.

# %% tags=["hide-input"]
table(
    [
        (name, f"{features / 1e9:.0f}", f"{models / 1e9:.0f}")
        for name in needs
        for features, models in [disk_of(profile_of(name))]
    ],
    ["Profile", "Features, GB", "Models, GB"],
    "The cache when everything is computed. The archives of LibriSpeech, 60 GB, come beside it.",
)

# %% [markdown]
# ## On a Ray cluster
#
# [Ray](https://docs.ray.io) runs the book's measurements on any number of machines. Each needs the same checkout and
# environment, and all must see one directory for the cache.
#
# 1. On every machine: `pip install -e '.[ray]'` in the environment of the book.
# 2. On the first: `ray start --head --port 6379 --disable-usage-stats`. On the others:
#    `ray start --address FIRST:6379 --disable-usage-stats`.
# 3. On the first, with `PAPER_LIB_CACHE` on the shared disk:
#
# ```
# export PAPER_LIB_CACHE=/shared/paper_lib
# python -m paper_lib records --profile gpu --make --engine ray --address auto
# ```
#
# Each measurement is a task with one core, or one GPU where there are any. The process that you started holds the
# store and writes all records; it may be stopped and started again. A machine that is lost costs what it did since its
# last checkpoint: the task begins on another one, which finds that checkpoint. A machine that does not see the cache is
# refused by name. `run --study` takes the same two options. Without `--address` Ray uses the machine that you are on.
#
# The clients of one adaptation can be spread as well, from your own program; each machine receives the weights once a
# round, and cuts the sub-models itself:
#
# ```python
# from paper_lib.federated.algorithm import federated_dropout
# from paper_lib.jobs import Engine
#
# engine = Engine("ray", "auto")
# algorithm = federated_dropout(settings, plan, model, tokenizer, 32, engine=engine)
# ```
#
# The records have the bits of those of one machine, whatever was lost, if the processors are of one kind. That is
# tested on a cluster of two nodes on one machine, one of which is killed; on several machines nobody has tried it yet.
#
# What does the cluster cost where none is needed? The same trainings ran by turns on the pool of one machine, on Ray on
# that machine, and on clusters of one and of two nodes with one core each (`make bench-engines`).

# %% tags=["hide-input"]
import json

from paper_lib.paths import published_records

engines = json.loads((published_records(".") / "engines.json").read_text())
(row,) = engines["rows"]
medians = {one["name"]: one["median"] for one in row["seconds"]}
twice = medians["ray, one node of one core"] / medians["ray, two nodes of one core"]
table(
    [
        (
            {"ours": "the pool of this machine, two processes"}.get(
                one["name"], one["name"]
            ),
            f"{one['median']:.1f}",
            "{:.2f} ({:.2f} to {:.2f})".format(one["ratio"], *one["ratio_quartiles"])
            if "ratio" in one
            else "1",
            one["calls"],
        )
        for one in row["seconds"]
    ],
    ["Where", "Seconds", "Times the pool's", "Turns"],
    f"{row['what']}, on {engines['cores']} cores of an {engines['processor']} ({', '.join(engines['flags'])}); all "
    "ended with the same bits. Medians, of ratios within a turn; in brackets their quartiles. "
    f"Two nodes are {twice:.1f} times as fast as one. Starting processes and clusters is not counted.",
)

# %% [markdown]
# ## On devices of their own: Flower
#
# So far clients were simulated. [Flower](https://flower.ai) carries the same algorithm to devices that hold their own
# speech: a server process, the SuperLink, and on every device a SuperNode. The server cuts a client's sub-model, sends
# that alone, and gets its update back; of the speech it learns names and lengths.
#
# 1. On every machine: the book's environment and, in one of its own, Flower (`make .venv-devices/installed`). Set
#    `FLWR_TELEMETRY_ENABLED=0`, or Flower tells its makers that it runs.
# 2. On the server: `flower-superlink --insecure --host 0.0.0.0 --port 9091`.
# 3. On device 0 of 2: `flower-supernode --insecure --superlink SERVER:9091 --node-config 'partition="0/2"'`. It has the
#    first half of the clients of the profile's corpus; for speech of its own change `_clients_here` in
#    `paper_lib/flower.py`.
# 4. In `~/.flwr/config.toml` name the server:
#
# ```
# [superlink.here]
# address = "SERVER:9091"
# insecure = true
# ```
#
# 5. `flwr run flower here --run-config 'profile="quick" plan="2:0.5 3:0.5 rest:0.1" rounds=22'`. The settings that a
#    run can have stand in `flower/pyproject.toml`. The weights after the last round are written to `output`.
#
# `make test-devices` runs a SuperLink and two SuperNodes on one machine. After three rounds the weights are those of
# the simulation to 10⁻⁶, with the same clients and counts. A plan that drops half of the feed-forward units sends less:
# the bytes that pass the socket fall by what the accounting of {doc}`comparable_plans` says, to a tenth (the test
# demands that; 1 and 3 % were seen). Not tried: phones, several machines, encryption (`--insecure` says so) and devices
# that prove who they are, both of which Flower has. Few bits a weight would be sent as floats, so a run does not offer
# them.
#
# ## One training on several GPUs
#
# `torchrun`, which comes with PyTorch, begins a process for each GPU (or each core):
#
# ```
# torchrun --nproc-per-node 8 --max-restarts 3 -m paper_lib train \
#     --profile librispeech --model L --seed 0
# ```
#
# Each process has its share of the utterances of a batch. The loss, its gradient, the clipping, BatchNorm's statistics
# and the masks of SpecAugment are those of one process with the whole batch, up to rounding. Only dropout draws other
# masks. When a process dies, all go on from the last checkpoint. The model stays in the cache, where `records --make`
# finds it. All this is tested with processes on a CPU; on GPUs it has not been run.
#
# ## Under SLURM
#
# These scripts have not been run yet: take them for a beginning.
#
# One training, as a job of one machine with eight GPUs:
#
# ```
# # #!/bin/bash
# #SBATCH --nodes=1 --gpus-per-node=8 --ntasks-per-node=1
# #SBATCH --cpus-per-task=32 --time=24:00:00 --requeue
# export PAPER_LIB_CACHE=/shared/paper_lib
# srun torchrun --standalone --nproc-per-node 8 --max-restarts 3 \
#     -m paper_lib train --profile librispeech --model L --seed $SEED
# ```
#
# `sbatch --export=ALL,SEED=0 train.sh`, for each seed. On several machines take, in the place of `--standalone`,
# `--nnodes $SLURM_NNODES --rdzv-backend c10d --rdzv-endpoint $(hostname):29500` with `--nodes` as many. A job that
# reached its time limit is submitted again and goes on.
#
# Everything, on as many machines as the job has:
#
# ```
# # #!/bin/bash
# #SBATCH --nodes=4 --gpus-per-node=8 --ntasks-per-node=1 --cpus-per-task=32
# export PAPER_LIB_CACHE=/shared/paper_lib
# head=$(hostname)
# srun --nodes=1 --ntasks=1 -w $head \
#     ray start --head --port 6379 --disable-usage-stats --block &
# sleep 30
# srun --nodes=3 --ntasks=3 -x $head \
#     ray start --address $head:6379 --disable-usage-stats --block &
# sleep 30
# python -m paper_lib records --profile librispeech --make \
#     --engine ray --address $head:6379
# ```
#
# ## A million clients, on paper
#
# How much does a server hold and send whose clients are phones? Not a simulation: sums from the shapes of the tensors.
# The model is the {term}`streaming model` of profile `gpu`. In every round a thousand of a million clients answer.

# %%
clients, per_round = 10**6, 1000
model = profile_of("gpu").adaptation.model
half = dict.fromkeys(range(3, 7), 0.5)
choices = {
    "everything, float32": server_of(model, NOTHING, clients, per_round),
    "50 % of 4 layers, 10 % of the others": server_of(
        model,
        DropoutPlan(name="four", rates=half, elsewhere=0.1),
        clients,
        per_round,
    ),
    "4 bits": server_of(
        model, NOTHING, clients, per_round, BitsPlan(name="4", elsewhere=4)
    ),
    "layers 16 and 17 alone": server_of(
        model, NOTHING, clients, per_round, trained=(16, 17)
    ),
}

# %% tags=["hide-input"]
first = choices["everything, float32"]
table(
    [
        (
            name,
            f"{one.held / 1e9:.1f}",
            f"{one.account.down / 1e6:.0f}",
            f"{one.account.up / 1e6:.0f}",
            f"{one.sent / 1e9:.0f}",
            f"{one.received / 1e9:.0f}",
            f"{one.account.memory / 1e9:.1f}",
        )
        for name, one in choices.items()
    ],
    [
        "Clients train",
        "Server holds, GB",
        "To one client, MB",
        "Back, MB",
        "Sent a round, GB",
        "Received a round, GB",
        "A client's step holds, GB",
    ],
    f"A round of {per_round:,} clients. If nobody is asked twice, each of a million has been asked "
    f"after {first.rounds:,} rounds, when "
    f"the server has sent {first.rounds * first.sent / 1e12:.0f} TB of float32.",
)

# %% [markdown]
# What the server holds does not depend on the number of clients: weights, two moments of its optimizer, and the running
# sum of the round's updates, to which each update is added as it comes. Of a client it keeps nothing but a name. What
# it sends grows with the clients of a round: the network limits a round, not the memory.

# %% tags=["hide-input"]
from paper_lib.figures.markup import paragraph

LINE = 10e9  # bits a second
paragraph(
    f"Over a line of {LINE / 1e9:.0f} Gbit/s, full all the time, the updates of a round in float32 arrive in about "
    f"{8 * first.received / LINE / 60:.0f} minutes."
)

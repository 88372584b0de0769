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
# # Ask the model yourself
#
# This notebook is for JupyterLab (`make lab`). It asks the questions of the book's explorers of a real model while you
# wait: a small streaming model, which comes with the library. It has learnt two kinds of speech from the synthesiser,
# dictation and telephone calls, and spells what it hears letter by letter. Run all cells (*Run*, *Run All Cells*), then
# use the controls.

# %%
from paper_lib.widgets.shipped import load_shipped

shipped = load_shipped()
encoder = shipped.run.model.encoder
f"{encoder.layers} layers of width {encoder.dim}, trained on {' and '.join(shipped.run.domains)}"

# %% [markdown]
# ## What does it hear without a layer?
#
# Type a sentence and a synthetic speaker says it, or upload a recording. Every row is the same model with another layer
# re-initialised (its weights of step 0) or re-randomised (weights drawn anew). Words that were said and not heard are
# struck out, words that were heard and not said underlined.
#
# The closer a sentence is to what it was trained on, the better it is understood. Try: *alright then it's nine zero
# nine five*; *i'll drop off your umbrella tonight, take care*; then a voice command such as *wake me at six thirty*,
# a domain that it never heard; then a new voice; then your own. This model has not heard a human being yet.

# %%
from paper_lib.widgets.hearing import HearingPanel

hearing = HearingPanel(shipped)
hearing

# %% [markdown]
# ## And people?
#
# The same model, fine-tuned on recordings of people who say strings of one to four words out of nine. Upload a
# recording of your own, for example *go left*, and read what the model makes of it with each layer reset: what fails
# now fails on a human voice. The words of its strings were said singly and joined: leave a short pause between yours.
# Re-initialised is back to the weights of step 0 of the synthetic training, long before the model met people. A
# synthetic speaker can say the words, too, one by one, but no others: the model knows only these.

# %%
from paper_lib.widgets.shipped import PEOPLE_PLACE

hearing_people = HearingPanel(load_shipped(PEOPLE_PLACE), "Go left")
hearing_people

# %% [markdown]
# ## Which layers matter?
#
# One sentence is an anecdote. Here the WER is measured on many, with its interval. Do single modules matter where the
# whole layer does?

# %%
from paper_lib.widgets.layers import LayersPanel

layers = LayersPanel(shipped)
layers

# %% [markdown]
# ## Does the signature tell which?
#
# How far had each weight matrix moved from its initial value, relative to the farthest layer? Is the layer that moved
# least the one whose reset harmed least above?

# %%
from paper_lib.widgets.signature import SignaturePanel

signature = SignaturePanel(shipped)
signature

# %% [markdown]
# ## Which layers may clients do without?
#
# The model has never heard voice commands. Clients teach it: in every round four speakers train what the plan leaves
# them, on their own sentences, and the server averages their updates (FedAdam). Set what each layer drops, start, and
# compare. The chapter [Federated Dropout](federated_dropout.ipynb) does the same with more rounds, seeds and intervals.

# %%
from paper_lib.widgets.federated import FederatedPanel

federated = FederatedPanel(shipped)
federated

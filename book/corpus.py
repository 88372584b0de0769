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
# # The corpus
#
# This chapter is being written.

# %% tags=["parameters", "hide-input"]
profile = "quick"
seed = 0

# %% tags=["hide-input"]
from paper_lib.chapters import begin

chapter = begin("corpus", globals())

"""Measurements of speed and memory, and a simulation of the book's intervals. Nothing here is a test."""

import os

# Before torch is loaded: two threads that share busy cores would else spin while they wait for each other, and a step
# of milliseconds may take seconds, whoever has written it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

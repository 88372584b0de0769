"""Conformer transducers: the layers that the paper resets, and the recogniser around them."""

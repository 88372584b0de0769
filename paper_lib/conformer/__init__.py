"""Conformer transducers: the layers that the paper resets, and the recogniser around them."""

from paper_lib.conformer.products import use_fast_products

use_fast_products()

"""Which layers of a Conformer speech recogniser matter: corpora, models, training, resets, and the book on them."""

"""What a sweep has heard, whatever the model and however it was evaluated."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from paper_lib.evaluation import Spoken
from paper_lib.layers.variants import Variant


@dataclass(frozen=True)
class SweepResult:
    """What was recognised, utterance by utterance."""

    spoken: Spoken
    hypotheses: dict[Variant | None, list[str]]  # [utterances] of the trained model (None) and under every reset

    def record(self) -> dict[str, Any]:
        """Returns what a record keeps: what was said, and what was heard where that differs."""
        misheard = {variant: self.spoken.misheard(heard) for variant, heard in self.hypotheses.items()}
        resets = [{**asdict(variant), "misheard": wrong} for variant, wrong in misheard.items() if variant]
        return {**self.spoken.record(), "intact": misheard[None], "resets": resets}

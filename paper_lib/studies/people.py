"""Trainings on people, each beside the training on synthetic speech that it began with."""

from __future__ import annotations

from paper_lib.profiles import profile_of
from paper_lib.settings import Size
from paper_lib.studies import ModelRecords, model_size
from paper_lib.studies.measurements import not_measured

SIZE: Size = "S"
HUMAN, SYNTHETIC = "human", "laptop"


def fine_tuned() -> list[tuple[ModelRecords, ModelRecords]]:
    """Returns each training on people of which everything is measured, and the one that it began with.

    Raises NotMeasuredError where there is none.
    """
    human = profile_of(HUMAN)
    bases = {record.seed: record for record in on_synthetic_speech()}
    found = [
        (record, bases[record.seed])
        for record in model_size(human, sizes=(SIZE,)).records()
        if record.seed in bases and record.base and record.unlearnt
    ]
    if not found:
        raise not_measured(human)
    return found


def on_synthetic_speech() -> list[ModelRecords]:
    """Returns the trainings on synthetic speech, those that nobody was fine-tuned from among them.

    Raises NotMeasuredError where there is none.
    """
    return model_size(profile_of(SYNTHETIC), sizes=(SIZE,)).records()

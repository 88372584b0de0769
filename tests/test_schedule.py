"""The length of a training and its learning rate."""

import pytest
from tiny_runs import tiny_run

from paper_lib.schedule import last_step, learning_rate


def test_the_learning_rate_rises_linearly_stays_and_falls_linearly() -> None:
    settings = tiny_run(steps=100, warmup_steps=10, learning_rate=0.5, decay_fraction=0.4).training
    rates = [learning_rate(settings, step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([0.05 * (step + 1) for step in range(10)])
    assert rates[9:61] == [0.5] * 52
    assert rates[60:] == pytest.approx([0.5 * (100 - step) / 40 for step in range(60, 100)])
    assert 0 < rates[-1] < 0.02
    assert learning_rate(settings, 100, 100) == 0


def test_a_rate_that_rises_and_falls_at_once_takes_the_lower_of_both() -> None:
    # Without a warm-up the first update has the peak.
    assert learning_rate(tiny_run(warmup_steps=0).training, 0, 6) == pytest.approx(1e-2)
    settings = tiny_run(steps=4, warmup_steps=8, decay_fraction=1.0).training
    rates = [learning_rate(settings, step, 4) for step in range(4)]
    assert rates == pytest.approx([x * 1e-2 / 8 for x in (1, 2, 3, 2)])


def test_in_a_shorter_training_the_rate_falls_as_fast_as_in_the_longest() -> None:
    settings = tiny_run(steps=100, warmup_steps=10, decay_fraction=0.4, patience=2).training
    shorter = [learning_rate(settings, step, 70) for step in range(70)]
    assert shorter[30:] == [learning_rate(settings, step, 100) for step in range(60, 100)]
    assert shorter[:30] == [learning_rate(settings, step, 100) for step in range(30)]


@pytest.mark.parametrize(
    ("dev_wer", "last"),
    [
        ({}, 100),
        ({10: 1.0, 20: 1.0, 30: 1.0}, 100),  # nothing was learnt so far
        ({10: 1.0, 20: 0.4, 30: 0.3, 40: 0.2}, 100),  # it still falls
        ({10: 0.4, 20: 0.3, 30: 0.35}, 100),
        ({10: 0.4, 20: 0.3, 30: 0.35, 40: 0.3}, 80),  # as low as before is no new lowest
        ({10: 0.4, 20: 0.3, 30: 0.35, 40: 0.29, 50: 0.3}, 100),
        ({10: 0.4, 20: 0.3, 30: 0.35, 40: 0.3, 50: 0.1, 60: 0.05}, 80),  # what comes later changes nothing
        ({10: 0.6, 20: 0.55, 30: 0.45, 40: 0.5, 50: 0.5}, 90),
        ({40: 0.3, 50: 0.2, 60: 0.2, 70: 0.2}, 100),  # the planned fall comes first
    ],
)
def test_a_training_ends_soon_after_its_wer_has_stopped_falling(dev_wer: dict[int, float], last: int) -> None:
    settings = tiny_run(steps=100, decay_fraction=0.4, patience=2).training
    assert last_step(settings, dev_wer) == last
    assert last_step(settings.model_copy(update={"patience": None}), dev_wer) == 100

"""The transducer loss against torchaudio and against the sum over every alignment."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torchaudio

import paper_lib.conformer.loss as loss_module
from paper_lib.conformer.loss import transducer_loss


def brute_force(logits: torch.Tensor, target: list[int], frames: int) -> float:
    """-log of the summed probability of every order of `frames` blanks and the labels that ends with a blank."""
    scores = logits.log_softmax(-1)
    total = []
    steps = frames - 1 + len(target)
    for places in itertools.combinations(range(steps), len(target)):
        t = u = 0
        score = torch.zeros((), dtype=logits.dtype)
        for step in range(steps):
            if step in places:
                score = score + scores[t, u, target[u]]
                u += 1
            else:
                score = score + scores[t, u, 0]
                t += 1
        total.append(score + scores[t, u, 0])
    return -float(torch.stack(total).logsumexp(0))


@pytest.mark.parametrize(("frames", "labels"), [(1, 0), (1, 3), (4, 0), (4, 1), (3, 3), (5, 4)])
def test_equals_the_sum_over_all_alignments(frames: int, labels: int) -> None:
    torch.manual_seed(frames * 10 + labels)
    logits = torch.randn(1, frames, labels + 1, 5)
    target = torch.randint(1, 5, (1, labels))
    loss = transducer_loss(logits, target, torch.tensor([frames]), torch.tensor([labels]))
    assert math.isclose(float(loss), brute_force(logits[0], target[0].tolist(), frames), rel_tol=1e-5)


def test_value_and_gradient_equal_torchaudio_in_a_padded_batch() -> None:
    torch.manual_seed(0)
    logits = torch.randn(4, 40, 13, 11, requires_grad=True)
    targets = torch.randint(1, 11, (4, 12))
    frames, lengths = torch.tensor([40, 25, 1, 31]), torch.tensor([12, 0, 5, 7])
    ours = transducer_loss(logits, targets, frames, lengths)
    reference = torchaudio.functional.rnnt_loss(
        logits, targets.int(), frames.int(), lengths.int(), blank=0, reduction="none"
    )
    torch.testing.assert_close(ours, reference, rtol=1e-5, atol=1e-4)
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0])
    (gradient,) = torch.autograd.grad((ours * weights).sum(), logits)
    (expected,) = torch.autograd.grad((reference * weights).sum(), logits)
    torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-5)


def test_gradient_agrees_with_finite_differences_in_the_lattice() -> None:
    """A step in any direction changes the loss by gradient times step."""
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 4, 3)
    arguments = (torch.tensor([[1, 2, 1], [2, 2, 1]]), torch.tensor([5, 3]), torch.tensor([3, 2]))
    leaf = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(transducer_loss(leaf, *arguments).sum(), leaf)
    for _ in range(5):
        direction = torch.randn_like(logits)
        ahead, back = (transducer_loss(logits + step * direction, *arguments).sum() for step in (1e-2, -1e-2))
        assert math.isclose(float(ahead - back) / 2e-2, float((gradient * direction).sum()), rel_tol=2e-2, abs_tol=2e-3)


def test_long_utterances_keep_their_precision() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 300, 61, 30)
    targets = torch.randint(1, 30, (1, 60))
    frames, lengths = torch.tensor([300]), torch.tensor([60])
    ours = transducer_loss(logits, targets, frames, lengths)
    reference = torchaudio.functional.rnnt_loss(logits, targets.int(), frames.int(), lengths.int(), blank=0)
    torch.testing.assert_close(ours[0], reference, rtol=1e-5, atol=1e-3)


def padded_batch(dtype: torch.dtype, vocabulary: int = 5) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    logits = torch.randn(3, 4, 4, vocabulary, dtype=dtype, requires_grad=True)
    return logits, torch.randint(1, vocabulary, (3, 3)), torch.tensor([4, 3, 1]), torch.tensor([3, 1, 2])


def test_in_double_precision_the_gradient_is_exact() -> None:
    logits, *arguments = padded_batch(torch.float64)
    assert torch.autograd.gradcheck(lambda logits: transducer_loss(logits, *arguments), (logits,))


@pytest.mark.parametrize("vocabulary", [5, 70, 40_000])
@pytest.mark.parametrize("blank", [0, 2])
def test_any_size_of_vocabulary_and_any_blank(vocabulary: int, blank: int) -> None:
    """Vocabularies on both sides of what the loss reads at a time."""
    logits, targets, frames, lengths = padded_batch(torch.float32, vocabulary)
    targets = targets.masked_fill(targets == blank, 1)
    ours = transducer_loss(logits, targets, frames, lengths, blank)
    reference = torchaudio.functional.rnnt_loss(
        logits, targets.int(), frames.int(), lengths.int(), blank=blank, reduction="none"
    )
    torch.testing.assert_close(ours, reference)
    gradients = [torch.autograd.grad(losses.sum(), logits)[0] for losses in (ours, reference)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


def test_an_utterance_whose_loss_is_not_used_has_no_gradient() -> None:
    logits, *arguments = padded_batch(torch.float64)
    loss = transducer_loss(logits, *arguments)
    (alone,) = torch.autograd.grad(loss[1], logits, retain_graph=True)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert not alone[[0, 2]].any()
    torch.testing.assert_close(alone[1], gradient[1])


def test_without_gradients_the_values_are_the_same_and_the_lattice_is_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lattices = []

    def diagonals(steps: list[list[torch.Tensor]]) -> list[list[torch.Tensor]]:
        lattices.append(len(steps))
        return run(steps)

    run = loss_module._diagonals
    monkeypatch.setattr(loss_module, "_diagonals", diagonals)
    arguments = padded_batch(torch.float32)
    expected = transducer_loss(*arguments)
    with torch.no_grad():
        torch.testing.assert_close(transducer_loss(*arguments), expected.detach(), rtol=0, atol=0)
    assert lattices == [2, 1]


def test_extreme_logits_keep_value_and_gradient_finite_and_true() -> None:
    """With one alignment left, the loss is a sum of logits, and the gradient says where it runs."""
    logits = torch.full((1, 2, 2, 3), -1e4)
    for t, u, symbol in ((0, 0, 1), (0, 1, 0), (1, 1, 0)):
        logits[0, t, u, symbol] = 1e4
    logits[0, 1, 1, 2] = 2e4
    logits[0, 0, 1, 2] = -math.inf
    logits.requires_grad_()
    loss = transducer_loss(logits, torch.tensor([[1]]), torch.tensor([2]), torch.tensor([1]))
    loss.backward()
    assert loss.item() == 1e4
    expected = torch.zeros_like(logits)
    expected[0, 1, 1] = torch.tensor([-1.0, 0.0, 1.0])
    torch.testing.assert_close(logits.grad, expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": torch.tensor([4, 0])}, r"frames\[1\] is 0; from 1 to 4 are allowed"),
        ({"frames": torch.tensor([-1, 4])}, r"frames\[0\] is -1; from 1 to 4"),
        ({"frames": torch.tensor([4, 5])}, r"frames\[1\] is 5; from 1 to 4"),
        ({"lengths": torch.tensor([2, 3])}, r"lengths\[1\] is 3; from 0 to 2"),
        ({"lengths": torch.tensor([-1, 2])}, r"lengths\[0\] is -1; from 0 to 2"),
        ({"frames": torch.tensor([4])}, r"frames has shape \(1,\); logits \(2, 4, 3, 5\) need \(2,\)"),
        ({"lengths": torch.tensor([[2], [2]])}, r"lengths has shape \(2, 1\); .* need \(2,\)"),
        ({"targets": torch.ones(2, 3, dtype=torch.long)}, r"targets has shape \(2, 3\); .* need \(2, 2\)"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(changes: dict[str, torch.Tensor], message: str) -> None:
    arguments = {
        "logits": torch.zeros(2, 4, 3, 5),
        "targets": torch.ones(2, 2, dtype=torch.long),
        "frames": torch.tensor([4, 4]),
        "lengths": torch.tensor([2, 2]),
    }
    assert transducer_loss(**arguments).isfinite().all()
    with pytest.raises(ValueError, match=message):
        transducer_loss(**arguments | changes)

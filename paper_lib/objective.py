"""What a training lowers: the transducer's loss with CTC beside it, and which of its parameters decay."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from paper_lib.conformer.loss import transducer_loss
from paper_lib.conformer.products import multiplies_bf16
from paper_lib.conformer.transducer import BLANK, Transducer
from paper_lib.corpus import Corpus
from paper_lib.corpus.augment import spec_augment
from paper_lib.corpus.batches import Batch
from paper_lib.processes import Share
from paper_lib.settings import TrainingRun


def hear_as(model: Transducer, corpus: Corpus) -> None:
    """Makes `model` normalise features by the mean and the deviation of the training speech of `corpus`."""
    mean, std = corpus.feature_statistics()
    model.feature_mean.copy_(torch.from_numpy(mean))
    model.feature_std.copy_(torch.from_numpy(std))


class Objective(nn.Module):
    """The transducer loss with an auxiliary CTC loss on the encoder, which the paper does not have.

    The CTC head is no part of the model: it is thrown away after training and not counted in its size.
    """

    def __init__(self, run: TrainingRun) -> None:
        super().__init__()
        self.settings = run.training
        self.model = Transducer(run.model)
        self.ctc = nn.Linear(run.model.encoder.dim, run.model.vocabulary)

    def forward(self, batch: Batch, masks: torch.Generator, share: Share | None = None) -> Tensor:
        """Returns the loss, nats per utterance; where the networks run in bf16, the losses are in float32.

        Where `batch` is one process's `share` of one, the mean over the processes is the whole batch's loss.
        """
        device = batch.features.device
        bf16 = device.type == "cuda" or (self.settings.precision == "bf16" and multiplies_bf16(device))
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            features = self.model.normalize(batch.features)
            if share:
                features = spec_augment(features, share.frames, self.settings.augment, masks, share.rows)
            else:
                features = spec_augment(features, batch.frames, self.settings.augment, masks)
            encoded, frames = self.model.encoder(features, batch.frames)
            logits = self.model.logits(encoded, batch.targets)
        losses = transducer_loss(logits, batch.targets, frames, batch.lengths, BLANK)
        if self.settings.ctc_weight:
            scores = self.ctc(encoded.float()).log_softmax(-1).transpose(0, 1)
            ctc = nn.functional.ctc_loss(
                scores, batch.targets, frames, batch.lengths, BLANK, reduction="none", zero_infinity=True
            )
            if not share:
                return losses.mean() + self.settings.ctc_weight * ctc.mean()
            losses = losses + self.settings.ctc_weight * ctc
        return share.weight * losses.sum() if share else losses.mean()


def decay_groups(objective: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Returns the trained parameters that weight decay pulls towards 0, and those that it leaves alone.

    Alone are left biases (those of attention too, which are matrices) and the scales of norms: 0 is no better a value
    of theirs than another.
    """
    groups: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
    for name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            groups[parameter.dim() < 2 or name.endswith("bias")].append(parameter)
    return groups


def weight_matrices(model: Transducer) -> dict[str, Tensor]:
    """Returns the encoder layers' weight matrices and kernels by name, for example "layers.0.attention.q.weight"."""
    parameters = model.encoder.named_parameters()
    return {name: p for name, p in parameters if name.startswith("layers.") and p.dim() > 1 and name.endswith("weight")}

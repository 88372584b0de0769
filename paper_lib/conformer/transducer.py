"""The transducer around the encoder: prediction network, joint network (Graves 2012; sizes from Gulati et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from paper_lib.conformer.encoder import Encoder
from paper_lib.settings import MEL_BINS, TransducerSettings

BLANK = 0
# At most so many rows are few to an LSTM.
FEW = 64
State = tuple[Tensor, Tensor]


class Prediction(nn.Module):
    """A language model over the labels emitted so far: embedding and LSTM. The blank is its start symbol."""

    def __init__(self, settings: TransducerSettings) -> None:
        super().__init__()
        units, outputs = settings.lstm_units, settings.prediction
        self.embedding = nn.Embedding(settings.vocabulary, settings.embedding)
        self.lstm = nn.LSTM(
            settings.embedding,
            units or outputs,
            settings.lstm_layers or 1,
            batch_first=True,
            proj_size=outputs if units else 0,
        )
        # torch adds two bias vectors where one suffices; the published sizes count one.
        for name, parameter in self.lstm.named_parameters():
            if name.startswith("bias_hh"):
                nn.init.zeros_(parameter.requires_grad_(False))

    def forward(self, labels: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Maps `labels` [batch, n] and a state, None at first, to ([batch, n, outputs], state).

        The state is the LSTM's: ([layers, batch, outputs], [layers, batch, units]).
        """
        output: tuple[Tensor, State] = self.lstm(self.embedding(labels), state)
        return output

    def step(self, labels: Tensor, state: State) -> tuple[Tensor, State]:
        """Maps one more label each, `labels` [batch], and the state so far to ([batch, outputs], state).

        For a few rows, LSTM's call takes longer than its products; for many, its kernel is the faster one.
        """
        h, c = state
        if len(labels) > FEW or len(h) > 1 or self.lstm.proj_size:
            predicted, state = self(labels[:, None], state)
            return predicted[:, 0], state
        h, c = torch.lstm_cell(self.embedding(labels), (h[0], c[0]), *self.lstm.all_weights[0])
        return h, (h[None], c[None])


class Joint(nn.Module):
    """tanh(W_e h_t + W_p g_u), then a linear map to the vocabulary."""

    def __init__(self, encoder: int, prediction: int, units: int, vocabulary: int) -> None:
        super().__init__()
        self.encoder = nn.Linear(encoder, units)
        self.prediction = nn.Linear(prediction, units)
        self.out = nn.Linear(units, vocabulary)

    def forward(self, encoded: Tensor, predicted: Tensor) -> Tensor:
        """Returns logits [..., vocabulary] for projected `encoded` and `predicted` that broadcast to [..., units]."""
        logits: Tensor = self.out((encoded + predicted).tanh_())
        return logits


class Transducer(nn.Module):
    """Log-mel features to label logits. Feature statistics travel with the weights: a checkpoint is self-contained."""

    feature_mean: Tensor
    feature_std: Tensor

    def __init__(self, settings: TransducerSettings) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = Encoder(settings.encoder)
        self.prediction = Prediction(settings)
        self.joint = Joint(settings.encoder.dim, settings.prediction, settings.joint, settings.vocabulary)
        self.register_buffer("feature_mean", torch.zeros(MEL_BINS))
        self.register_buffer("feature_std", torch.ones(MEL_BINS))

    def normalize(self, features: Tensor) -> Tensor:
        """Returns `features` [batch, time, 80] with zero mean and unit variance over the training corpus."""
        return (features - self.feature_mean) / self.feature_std

    def encode(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Maps raw log-mel `features` [batch, time, 80] to ([batch, ceil(time / 4), dim], frames [batch])."""
        encoded: tuple[Tensor, Tensor] = self.encoder(self.normalize(features), frames)
        return encoded

    def logits(self, encoded: Tensor, targets: Tensor) -> Tensor:
        """Returns [batch, time, labels + 1, vocabulary] for `encoded` [batch, time, dim], `targets` [batch, labels]."""
        predicted, _ = self.prediction(nn.functional.pad(targets, (1, 0), value=BLANK))
        logits: Tensor = self.joint(self.joint.encoder(encoded)[:, :, None], self.joint.prediction(predicted)[:, None])
        return logits

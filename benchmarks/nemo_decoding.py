"""NeMo's label looping (Bataev et al. 2024, arXiv 2406.06220) around our transducer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from paper_lib.conformer.transducer import BLANK, State, Transducer


class _Decoder:
    """The methods of NeMo's prediction network that label looping calls; states are of the LSTM."""

    def __init__(self, model: Transducer) -> None:
        self.model = model

    def initialize_state(self, like: Tensor) -> State:
        lstm = self.model.prediction.lstm
        return tuple(
            like.new_zeros(lstm.num_layers, len(like), size)
            for size in (lstm.proj_size or lstm.hidden_size, lstm.hidden_size)
        )  # type: ignore[return-value]

    def predict(self, labels: Tensor, state: State, **_: object) -> tuple[Tensor, State]:
        return self.model.prediction(labels, state)

    @staticmethod
    def batch_replace_states_mask(src_states: State, dst_states: State, mask: Tensor, **_: object) -> None:
        for source, target in zip(src_states, dst_states, strict=True):
            torch.where(mask[None, :, None], source, target, out=target)

    @staticmethod
    def clone_state(state: State) -> State:
        return state[0].clone(), state[1].clone()


class _Joint:
    """The methods of NeMo's joint network."""

    def __init__(self, model: Transducer) -> None:
        self.joint = model.joint
        self.num_classes_with_blank = model.settings.vocabulary

    def project_encoder(self, x: Tensor) -> Tensor:
        return self.joint.encoder(x)

    def project_prednet(self, x: Tensor) -> Tensor:
        return self.joint.prediction(x)

    def joint_after_projection(self, x: Tensor, predicted: Tensor) -> Tensor:
        return self.joint(x[:, :, None], predicted[:, None])


def decoder(model: Transducer, most_symbols: int) -> Callable[[list[tuple[Tensor, Tensor]]], list[list[int]]]:
    """Returns what maps encoded batches to the labels of every utterance."""
    from nemo.collections.asr.parts.submodules.transducer_decoding import rnnt_label_looping

    computer: Any = rnnt_label_looping.GreedyBatchedRNNTLabelLoopingComputer(
        _Decoder(model), _Joint(model), BLANK, max_symbols_per_step=most_symbols, allow_cuda_graphs=False
    )

    @torch.inference_mode()
    def decode(batches: list[tuple[Tensor, Tensor]]) -> list[list[int]]:
        found = []
        for x, frames in batches:
            hypotheses, *_ = computer.torch_impl(x, frames)
            lengths = hypotheses.current_lengths.tolist()
            found += [row[:n] for row, n in zip(hypotheses.transcript.tolist(), lengths, strict=True)]
        return found

    return decode

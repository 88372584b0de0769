"""Products of matrices: in single precision by the faster of two libraries, where both round alike; in bfloat16."""

from __future__ import annotations

import torch

# A product of bfloat16 would be off by a hundredth of this, one of float32 by a millionth.
_TOLERANCE = 1e-5


def use_fast_products() -> None:
    """Lets oneDNN multiply matrices of float32 in this process, where it has AVX-512 and does so in full precision.

    By default torch leaves them to MKL, which does without AVX-512 on processors that Intel did not make: on an AMD
    EPYC of 2024 oneDNN takes 0.4 times as long. torch asks oneDNN only where products may be rounded to bfloat16.
    Whether they are is seen by trying: with AVX-512 alone they are not. With AMX (Intel's servers since 2023) they are,
    and nothing is changed.
    """
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not torch.backends.mkldnn.is_available():
        return
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = matmul.fp32_precision
    generator = torch.Generator().manual_seed(0)
    # Of single products torch hands only large ones to oneDNN, of batched ones small ones too.
    first, second = (torch.randn(2, 64, 64, generator=generator) for _ in range(2))
    exact = first.double() @ second.double()
    matmul.fp32_precision = "bf16"
    if bool(((first @ second - exact).abs() > _TOLERANCE * exact.abs().max()).any()):
        matmul.fp32_precision = before


def multiplies_bf16(device: torch.device) -> bool:
    """Returns whether `device` has instructions for products of bfloat16; a CPU without them would be slower."""
    return device.type == "cuda" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()

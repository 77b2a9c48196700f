"""Precision of matrix products in training.

`tf32` keeps 10 bits of each factor, bfloat16 8; both add up in float32. A list of items hardly changes by either. A
rating does: the bfloat16 numbers next to 4 are 3.98 and 4.03. So bfloat16 holds for networks with a ranking metric
alone, and those measured by rmse use tf32. Weights, the optimiser, losses, validation and recurrent layers are float32
in all of them.
"""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch

__all__ = ["Precision", "choose_precision", "float32_products"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Precision:
    """Precision of a training run: tf32 or float32 products, with or without rounding to bfloat16."""

    device: torch.device
    tf32: bool
    bfloat16: bool

    def products(self) -> AbstractContextManager[None]:
        """Return the context of a training run: its products of float32 matrices."""
        return _float32_precision("high" if self.tf32 else "highest")

    def rounding(self) -> AbstractContextManager[object]:
        """Return the context of a forward pass; the backward pass keeps the types of its forward pass."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.bfloat16 else nullcontext()


def choose_precision(wanted: str, metric: str, device: torch.device) -> Precision:
    """Return the precision of a network with this metric on a device.

    `wanted` is the value of training.precision. A CPU has no tf32. A warning names the replacement where bfloat16 is
    not used.
    """
    on_gpu = device.type == "cuda"
    rounds = wanted == "bfloat16"
    instead = "TensorFloat-32" if on_gpu else "float32"
    if rounds and metric == "rmse":
        log.warning("training.precision: bfloat16 is too coarse for a network measured by rmse: using %s", instead)
        rounds = False
    elif rounds and on_gpu and not torch.cuda.is_bf16_supported(including_emulation=False):
        log.warning("training.precision: %s has no bfloat16: using %s", torch.cuda.get_device_name(device), instead)
        rounds = False
    return Precision(device, on_gpu and wanted != "float32", rounds)


def float32_products() -> AbstractContextManager[None]:
    """Return the context of validation: products of float32 matrices are float32."""
    return _float32_precision("highest")


@contextmanager
def _float32_precision(name: str) -> Iterator[None]:
    # cuDNN has a setting of its own, which lets recurrent layers use TensorFloat-32 unless it is turned off.
    before, of_layers = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision(name)
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        torch.backends.cudnn.allow_tf32 = of_layers

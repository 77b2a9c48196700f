"""Weight of the regularisation of a vector by its number of entries."""

import torch
from torch import Tensor

__all__ = ["damped_weights"]


def damped_weights(entries: Tensor, damping: float) -> Tensor:
    """Return n ** -damping for each n of `entries`, float32.

    It is the weight that one of n entries adds to the squared norm of a vector. With damping 0 the total weight grows
    with n, as in Zhou et al. 2008. With damping 0.5 it grows with the root of n, so that vectors with many entries are
    regularised less.
    """
    weights: Tensor = entries.clamp_min(1).to(torch.float32) ** -damping
    return weights

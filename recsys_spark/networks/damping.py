"""How much regularisation a vector gets, given how many entries it has been learnt from."""

import torch
from torch import Tensor

__all__ = ["weight_of_entries"]


def weight_of_entries(entries: Tensor, damping: float) -> Tensor:
    """n ** -damping for each n of `entries`, float32: what one of n entries adds to the weight of a vector's square.

    Without damping the weight grows with the entries, as in Zhou et al. 2008; with a damping of a half, as their root
    does, and who has rated much is freer to differ.
    """
    weights: Tensor = entries.clamp_min(1).to(torch.float32) ** -damping
    return weights

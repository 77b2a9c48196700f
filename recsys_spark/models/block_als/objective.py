"""Objective of ALS: weights of the pairs and regularisation of the rows.

Implicit mode gives every pair the confidence unobserved_weight, and a played one alpha x weight more; explicit mode has
the rated pairs alone. A row with n positive entries is regularised by
reg_param (n + unobserved_weight m)^reg_exponent, where m is the size of the other side if reg_all_pairs is set, else 0
(Rendle, Krichene, Zhang and Koren 2022, "Revisiting the Performance of iALS on Item Recommendation Benchmarks"). An
exponent of 1 with m = 0 is the scaling of MLlib (Zhou et al. 2008), an exponent of 0 the plain sum of squares.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Objective"]

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Objective:
    """Settings of the objective; without the last three it is that of MLlib."""

    reg_param: float
    alpha: float
    implicit: bool
    unobserved_weight: float = 1.0
    reg_exponent: float = 1.0
    reg_all_pairs: bool = False

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Objective":
        """Return the objective of settings of the kind `als`, also of an earlier release."""
        return cls(**{name: settings[name] for name in cls.__dataclass_fields__ if name in settings})

    @property
    def base_weight(self) -> float:
        """Return the weight of a pair without plays: zero in explicit mode."""
        return self.unobserved_weight if self.implicit else 0.0

    def pair_terms(self, confidence: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Return weights w, targets t and which entries count for the regularisation, (nnz,) each.

        A row x minimises x'(base_weight Y'Y + sum w_j y_j y_j' + ridge I)x - 2 sum t_j y_j'x.
        """
        if not self.implicit:
            return np.ones_like(confidence), confidence, np.ones(confidence.shape, dtype=bool)
        positive = confidence > 0
        # A weight beyond the range of its type becomes infinite, and the solver refuses the result.
        with np.errstate(over="ignore"):
            weights = self.alpha * np.abs(confidence)
        return weights, np.where(positive, self.unobserved_weight + weights, 0).astype(confidence.dtype), positive

    def constant(self, confidence: Floats, targets: Floats) -> float:
        """Return the part of the objective that no factor changes: the loss of a model that predicts zero."""
        return float(np.sum(targets if self.implicit else np.square(confidence, dtype=np.float64), dtype=np.float64))

    def ridge(self, counts: NDArray[Any], n_others: int) -> NDArray[np.float64]:
        """Return the regularisation of rows with these counts, (n,); `n_others` is the size of the other side."""
        pairs = self.base_weight * n_others if self.reg_all_pairs else 0.0
        return self.reg_param * np.power(counts + pairs, self.reg_exponent, dtype=np.float64)

"""Matrix factorisation of plays without ratings, by gradient descent with sampled negatives.

Two losses rank played items above the others: BPR compares pairs (Rendle et al. 2009), logistic regression classifies
single items (Johnson 2014). Every step draws new negatives, uniformly from all items.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.code_solvers import solve_logistic_codes
from recsys_spark.networks.matrix_factorization import Factorization
from recsys_spark.networks.network import Loss, Shape
from recsys_spark.networks.products import weighted_sum
from recsys_spark.networks.settings.implicit_factorization import ImplicitFactorizationSettings
from recsys_spark.networks.settings.network import NetworkSettings

__all__ = ["ImplicitFactorization"]


class ImplicitFactorization(Factorization):
    """Factorisation of plays, each of value 1.

    The code of a history not seen in training is a logistic regression on the item vectors, plays against all items,
    with the regularisation of training.
    """

    Settings: ClassVar[type[NetworkSettings]] = ImplicitFactorizationSettings
    shard_spec: ClassVar[ShardSpec] = ShardSpec(rows="users", values="one")
    metric: ClassVar[str] = "ndcg@100"
    settings: ImplicitFactorizationSettings

    def __init__(self, settings: ImplicitFactorizationSettings, shape: Shape) -> None:
        super().__init__(settings, shape, 0.0)
        # Pairs of zero vectors have zero gradients, so both sides start random.
        nn.init.normal_(self.user_vectors, std=settings.spread / settings.rank**0.5)

    def forward(self, batch: Batch, step: int) -> Loss:
        """Return the losses of all plays and their negatives plus the penalty; `parts` has the losses alone."""
        row, code = batch.entry_rows(), self.encode_trained(batch)
        weight, bias = self.output_weight, self.output_bias
        drawn = torch.randint(batch.n_columns, (self.settings.negatives, row.numel()), device=row.device)
        played = _scores(code, weight, bias, row, batch.indices)
        others = torch.stack([_scores(code, weight, bias, row, column) for column in drawn])
        if self.settings.loss == "bpr":
            losses = functional.softplus(others - played).mean(0)
        else:
            losses = functional.softplus(-played) + functional.softplus(others).mean(0)
        entry_weights = batch.weights.to(losses.dtype)[row]
        total = weighted_sum(losses, entry_weights)
        return Loss(total + self.penalty(batch), entry_weights.sum(), {"loss_of_plays": total.detach()})

    def encode(self, batch: Batch) -> Tensor:
        """Return logistic regression codes of histories, (n, rank + 1); zero without plays."""
        return solve_logistic_codes(batch, self.output_weight, self.output_bias, self.ridge(batch))


def _scores(code: Tensor, weight: Tensor, bias: Tensor, row: Tensor, column: Tensor) -> Tensor:
    return (functional.embedding(row, code) * functional.embedding(column, weight)).sum(1) + bias[column]

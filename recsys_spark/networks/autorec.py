"""AutoRec: a rating matrix rebuilt through one hidden layer, from the ratings that exist (Sedhain et al., WWW 2015).

The output layer starts at zero. So a column without any rating in training keeps weights of exactly zero, in every
process and without counting, and is predicted as the constant that all columns start from (in the paper: 3).
"""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from recsys_spark.core.search_space import Range, SearchSpace
from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Loss, Network, NetworkSettings, Shape
from recsys_spark.networks.output_layer import masked_squared_error
from recsys_spark.networks.sparse_linear import SparseLinear

__all__ = ["AutoRecItem", "AutoRecItemSettings", "AutoRecUser", "AutoRecUserSettings"]


class AutoRecItemSettings(NetworkSettings):
    """Defaults that reach the paper's error on MovieLens 1M."""

    search_space: ClassVar[SearchSpace] = {
        "learning_rate": Range(3e-4, 3e-3, log=True),
        "l2": Range(10.0, 1000.0, log=True),
        "units": Range(100, 800, log=True),
    }

    units: int = Field(default=500, ge=1, description="Width of the hidden layer, the code.")
    l2: float = Field(
        default=300.0, ge=0, description="Weight of half the squared weights against the squared errors of all ratings."
    )
    start: float = Field(
        default=3.6,
        description="Prediction that training starts from, about the mean rating; columns without ratings keep it.",
    )
    epochs: int = Field(default=26, ge=1, le=10_000, description="Passes over the data at most.")
    average: float = Field(default=0.98, ge=0, lt=1, description="Decay of the running average of weights; 0: none.")


class AutoRecUserSettings(AutoRecItemSettings):
    """Users have fewer ratings than items: the error on other ratings rises again after some 15 epochs."""

    l2: float = Field(
        default=100.0, ge=0, description="Weight of half the squared weights against the squared errors of all ratings."
    )
    epochs: int = Field(default=15, ge=1, le=10_000, description="Passes over the data at most.")


class AutoRecItem(Network):
    """Rows are items, columns users: r(x) = W sigmoid(V x + mu) + b.

    Minimises the sum over the observed ratings of (r - x)^2, plus l2 / 2 (||W||^2 + ||V||^2); a batch carries the
    share of the penalty that its rows are of all rows. `Loss.count` is the number of its ratings, which is 0 where
    all its rows are empty.
    """

    Settings: ClassVar[type[NetworkSettings]] = AutoRecItemSettings
    shard_spec: ClassVar[ShardSpec] = ShardSpec(rows="items", values="rating")
    metric: ClassVar[str] = "rmse"
    fold_in: ClassVar[Literal["forward", "none"]] = "none"

    settings: AutoRecItemSettings

    def __init__(self, settings: AutoRecItemSettings, shape: Shape) -> None:
        super().__init__(settings, shape)
        self.encoder = SparseLinear(shape.n_columns, settings.units)
        self.decoder_weight = nn.Parameter(torch.zeros(shape.n_columns, settings.units))
        self.decoder_bias = nn.Parameter(torch.full((shape.n_columns,), settings.start))

    def forward(self, batch: Batch, step: int) -> Loss:
        """Squared errors of the batch with its share of the penalty; `parts` has the errors alone."""
        errors = masked_squared_error(self.encode(batch), self.output_weight, self.output_bias, batch)
        penalty = self.settings.l2 / 2 * (self.encoder.weight.square().sum() + self.decoder_weight.square().sum())
        share = batch.weights.sum() / max(self.shape.n_rows, 1)
        ratings = (batch.lengths() * batch.weights).sum()
        return Loss(errors + share * penalty, ratings, {"squared_error": errors.detach()})

    def encode(self, batch: Batch) -> Tensor:
        """The hidden layer, (n, units)."""
        return torch.sigmoid(self.encoder(batch))

    @property
    def output_weight(self) -> Tensor:
        """W, (n_columns, units)."""
        return self.decoder_weight

    @property
    def output_bias(self) -> Tensor:
        """b, (n_columns,)."""
        return self.decoder_bias

    def parameter_groups(self) -> Iterator[dict[str, Any]]:
        """The optimiser's own decay, if any, spares the biases as the penalty does."""
        yield {"params": [self.encoder.weight, self.decoder_weight]}
        yield {"params": [self.encoder.bias, self.decoder_bias], "weight_decay": 0.0}


class AutoRecUser(AutoRecItem):
    """Rows are users, columns items, so that a history not seen in training is served by a forward pass."""

    Settings: ClassVar[type[NetworkSettings]] = AutoRecUserSettings
    shard_spec: ClassVar[ShardSpec] = ShardSpec(rows="users", values="rating")
    fold_in: ClassVar[Literal["forward", "none"]] = "forward"

"""Matrix factorisation by gradient descent: ratings as products of a user's and an item's vector, plus biases (Koren,
Bell and Volinsky 2009), from the ratings that exist.

Squared errors of the observed ratings alone enter the loss, never the matrix in full. The origin's set-up is a matter
of settings: `biased` false, `initialisation` uniform, `optimizer` sgd with momentum 0.9, and `batch_rows` of at least
the number of users for full-batch descent.
"""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from recsys_spark.core.search_space import Choice, Range, SearchSpace
from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.damping import weight_of_entries
from recsys_spark.networks.network import Loss, NetworkSettings, Shape
from recsys_spark.networks.output_layer import masked_squared_error
from recsys_spark.networks.ridge import ridge_codes
from recsys_spark.networks.side_information import SideSettings, WithSideInformation

__all__ = ["FactorizationSettings", "MatrixFactorization", "MatrixFactorizationSettings"]

# With the origin's uniform start a first prediction is about 30 / rank.
UNIFORM_TOP = 11.0


class FactorizationSettings(SideSettings):
    """What factorisations by gradient descent share."""

    rank: int = Field(default=64, ge=1, le=1024, description="Length of the vectors.")
    biased: bool = Field(default=True, description="Add a bias of each user and of each item.")
    l2: float = Field(default=1.25, ge=0, description="Weight of the squared vectors; see damping.")
    damping: float = Field(
        default=0.5, ge=0, le=1, description="l2 counts n ** (1 - damping) times for a user or item of n entries."
    )
    bias_l2: float = Field(default=1e-3, ge=0, description="Weight of the squared biases, a time each entry.")
    spread: float = Field(default=1.0, gt=0, description="Deviation of the first vectors times the root of rank.")
    optimizer: Literal["adam", "sgd"] = Field(default="adam", description="Optimiser: adam, or sgd with momentum.")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Momentum of sgd.")


class MatrixFactorizationSettings(FactorizationSettings):
    """What MovieLens likes, by its validation data."""

    search_space: ClassVar[SearchSpace] = {
        "rank": Range(8, 256, log=True),
        "l2": Range(0.3, 3.0, log=True),
        "bias_l2": Range(1e-4, 3e-2, log=True),
        "learning_rate": Range(1e-3, 3e-2, log=True),
        "batch_rows": Choice((32, 64, 128, 256)),
    }

    batch_rows: int = Field(default=32, ge=1, description="Rows of a step, over all processes.")
    learning_rate: float = Field(default=5e-3, gt=0, description="Step size of the optimiser at its largest.")
    average: float = Field(
        default=0.99, ge=0, lt=1, description="Keep a running average of the weights with this decay a step; 0: none."
    )
    epochs: int = Field(default=80, ge=1, le=10_000, description="Passes over the data at most.")
    initialisation: Literal["small", "uniform"] = Field(
        default="small",
        description="First vectors: users at zero and items small and normal, or all uniform from 0 to 11 / rank.",
    )
    start: float = Field(
        default=3.6,
        description="With biases: prediction that training starts from, about the mean rating; it is trained as well.",
    )


class Factorization(WithSideInformation):
    """score = p . q + b of the user + b of the item (+ an offset): a code is p with the user's bias behind it, and to
    both is added what the user's profile says.

    Rows are users. Users of whom training has no rating keep a code of zero, columns without one are not served.
    """

    fold_in: ClassVar[Literal["forward", "none"]] = "forward"
    settings: FactorizationSettings

    def __init__(self, settings: FactorizationSettings, shape: Shape, offset: float) -> None:
        super().__init__(settings, shape)
        self.user_vectors = nn.Parameter(torch.zeros(shape.n_rows, settings.rank))
        self.item_vectors = nn.Parameter(torch.empty(shape.n_columns, settings.rank))
        nn.init.normal_(self.item_vectors, std=settings.spread / settings.rank**0.5)
        self.user_bias, self.item_bias, self.offset = self._biases(shape, offset)
        self.make_side(settings.rank + 1)

    def _biases(self, shape: Shape, offset: float) -> tuple[Tensor, Tensor, Tensor]:
        first = (torch.zeros(shape.n_rows), torch.zeros(shape.n_columns), torch.tensor(offset))
        if self.settings.biased:
            return nn.Parameter(first[0]), nn.Parameter(first[1]), nn.Parameter(first[2])
        for name, bias in zip(("user_bias", "item_bias", "offset"), first, strict=True):
            self.register_buffer(name, torch.zeros_like(bias))
        return self.user_bias, self.item_bias, self.offset

    def encode_trained(self, batch: Batch) -> Tensor:
        """(n, rank + 1): the vectors and biases of batch.rows, which have to be rows that it was made for."""
        return self.with_side(self._own(batch), batch)

    def _own(self, batch: Batch) -> Tensor:
        return torch.cat([self.user_vectors[batch.rows], self.user_bias[batch.rows, None]], 1)

    @property
    def output_weight(self) -> Tensor:
        """(n_columns, rank + 1): the item vectors, and a one that meets the user's bias."""
        return torch.cat([self.item_vectors, self.item_vectors.new_ones(self.shape.n_columns, 1)], 1)

    @property
    def output_bias(self) -> Tensor:
        """The items' biases and the offset, (n_columns,)."""
        return self.item_bias + self.offset

    @property
    def column_vectors(self) -> Tensor:
        """The item vectors alone, (n_columns, rank)."""
        return self.item_vectors

    def penalty(self, batch: Batch) -> Tensor:
        """The weighted squares of vectors and biases of both sides, once for each of their entries in the batch; what
        profiles add weighs as what is the row's own.
        """
        of_rows = self._own(batch).square()
        if self.side is not None:
            of_rows = of_rows + self.side(batch).square()
        entry_weights = batch.weights.to(of_rows.dtype)
        lengths = batch.lengths().to(of_rows.dtype) * entry_weights
        counts = torch.zeros_like(self.item_bias)
        counts.index_add_(0, batch.indices, entry_weights[batch.entry_rows()])
        vectors = (lengths * self._damped(batch.lengths())) @ of_rows[:, :-1].sum(1)
        vectors = vectors + (counts * self._damped(self.column_counts)) @ self.item_vectors.square().sum(1)
        biases = lengths @ of_rows[:, -1] + counts @ self.item_bias.square()
        return self.settings.l2 * vectors + self.settings.bias_l2 * biases

    def _damped(self, entries: Tensor) -> Tensor:
        return weight_of_entries(entries, self.settings.damping).to(self.item_bias.dtype)

    def ridge(self, batch: Batch) -> Tensor:
        """The same weights for least squares on the item vectors, of a vector and a bias behind it, (n, rank + 1)."""
        lengths = batch.lengths().to(self.item_bias.dtype)
        vectors = (self.settings.l2 * lengths * self._damped(batch.lengths()))[:, None].expand(-1, self.settings.rank)
        return torch.cat([vectors, (self.settings.bias_l2 * lengths)[:, None]], 1)

    def parameter_groups(self) -> Iterator[dict[str, Any]]:
        """The offset is no habit of anybody: it never decays."""
        spared = [self.offset] if self.settings.biased else []
        yield {"params": [weight for weight in self.parameters() if all(weight is not one for one in spared)]}
        if spared:
            yield {"params": spared, "weight_decay": 0.0}


class MatrixFactorization(Factorization):
    """Ratings by squared error. A history not seen in training gets the vector and bias that ridge regression on the
    item vectors gives it, with the regularisation of training.
    """

    Settings: ClassVar[type[NetworkSettings]] = MatrixFactorizationSettings
    shard_spec: ClassVar[ShardSpec] = ShardSpec(rows="users", values="rating")
    metric: ClassVar[str] = "rmse"
    settings: MatrixFactorizationSettings

    def __init__(self, settings: MatrixFactorizationSettings, shape: Shape) -> None:
        super().__init__(settings, shape, settings.start)
        if settings.initialisation == "uniform":
            for vectors in (self.user_vectors, self.item_vectors):
                nn.init.uniform_(vectors, 0, UNIFORM_TOP / settings.rank)

    def forward(self, batch: Batch, step: int) -> Loss:
        """Squared errors of the ratings and the penalty; `parts` has the errors alone."""
        code = self.encode_trained(batch)
        errors = masked_squared_error(code, self.output_weight, self.output_bias, batch)
        ratings = (batch.lengths() * batch.weights).sum()
        return Loss(errors + self.penalty(batch), ratings, {"squared_error": errors.detach()})

    def encode(self, batch: Batch) -> Tensor:
        """(n, rank + 1) of histories alone, which may be of anyone; zero without ratings."""
        errors = batch.values - self.output_bias[batch.indices]
        if self.settings.biased:
            return ridge_codes(batch, self.output_weight, errors, self.ridge(batch))
        return nn.functional.pad(ridge_codes(batch, self.item_vectors, errors, self.ridge(batch)[:, :-1]), (0, 1))

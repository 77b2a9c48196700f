"""Matrix factorisation of ratings by gradient descent (Koren, Bell and Volinsky 2009).

A rating is the dot product of a user's and an item's vector, plus biases. The loss holds the squared errors of the
observed ratings alone, so the matrix is never dense. These settings reproduce the original program: `biased` false,
`initialisation` uniform, `optimizer` sgd with momentum 0.9, and `batch_rows` of at least the number of users for
full-batch descent.
"""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.code_solvers import solve_ridge_codes
from recsys_spark.networks.damping import damped_weights
from recsys_spark.networks.network import Loss, Shape
from recsys_spark.networks.output_layer import masked_squared_error
from recsys_spark.networks.products import weighted_sum
from recsys_spark.networks.settings.matrix_factorization import FactorizationSettings, MatrixFactorizationSettings
from recsys_spark.networks.settings.network import NetworkSettings
from recsys_spark.networks.side_information import WithSideInformation

__all__ = ["MatrixFactorization"]

# Upper end of the uniform start, times rank, as in the original program: a first prediction is about 30 / rank.
UNIFORM_TOP = 11.0


class Factorization(WithSideInformation):
    """Factorisation whose score is p . q + bias of the user + bias of the item (+ an offset).

    Rows are users. A code is p followed by the user's bias; side information is added to both. Users without training
    entries keep a code of zero; columns without training entries are not ranked.
    """

    fold_in: ClassVar[Literal["forward", "none"]] = "forward"
    width_setting: ClassVar[str] = "rank"
    settings: FactorizationSettings

    def __init__(self, settings: FactorizationSettings, shape: Shape, offset: float) -> None:
        super().__init__(settings, shape)
        self.user_vectors = nn.Parameter(torch.zeros(shape.n_rows, settings.rank))
        self.item_vectors = nn.Parameter(torch.empty(shape.n_columns, settings.rank))
        nn.init.normal_(self.item_vectors, std=settings.spread / settings.rank**0.5)
        self.user_bias, self.item_bias, self.offset = self._biases(shape, offset)
        self.init_side_information(settings.rank + 1)

    def _biases(self, shape: Shape, offset: float) -> tuple[Tensor, Tensor, Tensor]:
        first = (torch.zeros(shape.n_rows), torch.zeros(shape.n_columns), torch.tensor(offset))
        if self.settings.biased:
            return nn.Parameter(first[0]), nn.Parameter(first[1]), nn.Parameter(first[2])
        for name, bias in zip(("user_bias", "item_bias", "offset"), first, strict=True):
            self.register_buffer(name, torch.zeros_like(bias))
        return self.user_bias, self.item_bias, self.offset

    def encode_trained(self, batch: Batch) -> Tensor:
        """Return vectors and biases of batch.rows, (n, rank + 1); they must be rows of the training matrix."""
        return self.add_side_information(self._row_codes(batch), batch)

    def loss_count(self, batch: Batch) -> Tensor:
        """Return the number of entries of counting rows."""
        return (batch.lengths() * batch.weights).sum()

    def _row_codes(self, batch: Batch) -> Tensor:
        return torch.cat([self.user_vectors[batch.rows], self.user_bias[batch.rows, None]], 1)

    @property
    def output_weight(self) -> Tensor:
        """Return the item vectors and a column of ones, (n_columns, rank + 1).

        The ones are the factors of the user's bias.
        """
        return torch.cat([self.item_vectors, self.item_vectors.new_ones(self.shape.n_columns, 1)], 1)

    @property
    def output_bias(self) -> Tensor:
        """Return the items' biases plus the offset, (n_columns,)."""
        return self.item_bias + self.offset

    @property
    def column_vectors(self) -> Tensor:
        """Return the item vectors alone, (n_columns, rank)."""
        return self.item_vectors

    def penalty(self, batch: Batch) -> Tensor:
        """Return the weighted squares of vectors and biases of users and items, a scalar.

        They are counted once for each entry in the batch. Side information has the weight of the row's own vector.
        """
        row_squares = self._row_codes(batch).square()
        if self.side is not None:
            row_squares = row_squares + self.side(batch).square()
        entry_weights = batch.weights.to(row_squares.dtype)
        lengths = batch.lengths().to(row_squares.dtype) * entry_weights
        counts = torch.zeros_like(self.item_bias)
        counts.index_add_(0, batch.indices, entry_weights[batch.entry_rows()])
        vectors = weighted_sum(lengths * self._damped(batch.lengths()), row_squares[:, :-1].sum(1))
        item_weights = counts * self._damped(self.column_counts)
        vectors = vectors + weighted_sum(item_weights, self.item_vectors.square().sum(1))
        biases = weighted_sum(lengths, row_squares[:, -1]) + weighted_sum(counts, self.item_bias.square())
        return self.settings.l2 * vectors + self.settings.bias_l2 * biases

    def _damped(self, entries: Tensor) -> Tensor:
        return damped_weights(entries, self.settings.damping).to(self.item_bias.dtype)

    def ridge(self, batch: Batch) -> Tensor:
        """Return the ridge weights of a code, (n, rank + 1): the weights of `penalty` for fixed item vectors."""
        lengths = batch.lengths().to(self.item_bias.dtype)
        vectors = (self.settings.l2 * lengths * self._damped(batch.lengths()))[:, None].expand(-1, self.settings.rank)
        return torch.cat([vectors, (self.settings.bias_l2 * lengths)[:, None]], 1)

    def parameter_groups(self) -> Iterator[dict[str, Any]]:
        """Yield all weights, then the offset in a group of its own without weight decay."""
        spared = [self.offset] if self.settings.biased else []
        yield {"params": [weight for weight in self.parameters() if all(weight is not one for one in spared)]}
        if spared:
            yield {"params": spared, "weight_decay": 0.0}


class MatrixFactorization(Factorization):
    """Factorisation of ratings by squared error.

    The code of a history not seen in training is its ridge regression on the item vectors, with the regularisation of
    training.
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
        """Return the squared errors of the ratings plus the penalty; `parts` has the errors alone."""
        code = self.encode_trained(batch)
        errors = masked_squared_error(code, self.output_weight, self.output_bias, batch)
        return Loss(errors + self.penalty(batch), self.loss_count(batch), {"squared_error": errors.detach()})

    def encode(self, batch: Batch) -> Tensor:
        """Return ridge regression codes of histories, (n, rank + 1); zero without ratings."""
        errors = batch.values - self.output_bias[batch.indices]
        if self.settings.biased:
            return solve_ridge_codes(batch, self.output_weight, errors, self.ridge(batch))
        return nn.functional.pad(solve_ridge_codes(batch, self.item_vectors, errors, self.ridge(batch)[:, :-1]), (0, 1))

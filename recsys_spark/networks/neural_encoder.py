"""Neural rating encoder: dense layers on the outer product of a user's and an item's embedding.

The trained embeddings are the codes of users and items. Two units of the dense layer start as the inner product of
the embeddings, so that the network begins as a matrix factorisation. The dense layers are trained with smaller steps,
because they overfit with full ones.

The original program trains without regularisation and overfits (`initialisation` random, `dense_rate` 1, `units` 500,
`dropout` 0, `l2` 0, `biased` false, `average` 0, `epochs` 50, `patience` 0). Its steps are of 128 ratings; here a step
has the ratings of `batch_rows` users.
"""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.damping import damped_weights
from recsys_spark.networks.network import Loss, Network, Shape
from recsys_spark.networks.settings.network import NetworkSettings
from recsys_spark.networks.settings.neural_encoder import NeuralEncoderSettings

__all__ = ["NeuralEncoder"]

# Standard deviation of small initial weights, and the factor of reduced ones.
SMALL = 0.1
# Floats of outer products, or of hidden units, computed at a time.
CHUNK_FLOATS = 2**24


class NeuralEncoder(Network):
    """Network of ratings: w . relu(W vec(u v') + c) + bias of the user + bias of the item + offset.

    u and v are the embeddings of user and item. Rows are users; a code is u followed by the user's bias. Scores are
    not dot products: `score_block` and `score_pairs` compute them.
    """

    Settings: ClassVar[type[NetworkSettings]] = NeuralEncoderSettings
    shard_spec: ClassVar[ShardSpec] = ShardSpec(rows="users", values="rating")
    metric: ClassVar[str] = "rmse"
    fold_in: ClassVar[Literal["forward", "none"]] = "none"
    scores_are_dot_products: ClassVar[bool] = False
    width_setting: ClassVar[str] = "embedding"
    settings: NeuralEncoderSettings

    def __init__(self, settings: NeuralEncoderSettings, shape: Shape) -> None:
        super().__init__(settings, shape)
        width = settings.embedding
        self.rows = nn.Embedding(shape.n_rows, width)
        self.columns = nn.Embedding(shape.n_columns, width)
        for embedding in (self.rows, self.columns):
            nn.init.normal_(embedding.weight, std=width**-0.25)
        self.dense = nn.Linear(width * width, settings.units)
        self.last = nn.Linear(settings.units, 1)
        nn.init.constant_(self.last.bias, settings.start)
        if settings.initialisation == "inner":
            self._start_as_inner_product()
        self.row_bias = nn.Parameter(torch.zeros(shape.n_rows), requires_grad=settings.biased)
        self.column_bias = nn.Parameter(torch.zeros(shape.n_columns), requires_grad=settings.biased)

    @torch.no_grad()
    def _start_as_inner_product(self) -> None:
        """Set two units to the inner product: relu(u . v) - relu(-u . v) = u . v.

        The other units start small, and the embeddings of users smaller than those of items.
        """
        width = self.settings.embedding
        inner = torch.eye(width).flatten()
        for layer in (self.dense, self.last):
            layer.weight.mul_(SMALL)
        self.dense.bias.zero_()
        self.dense.weight[:2] = torch.stack([inner, -inner])
        self.last.weight[0, :2] = torch.tensor([1.0, -1.0])
        nn.init.normal_(self.rows.weight, std=SMALL)
        nn.init.normal_(self.columns.weight, std=width**-0.5)

    def parameter_groups(self) -> Iterator[dict[str, Any]]:
        """Yield the dense layers with their own step size, then all other weights.

        The last bias is the mean rating and belongs to the second group.
        """
        dense = [self.dense.weight, self.dense.bias, self.last.weight]
        yield {"params": dense, "rate_factor": self.settings.dense_rate}
        yield {"params": [weight for weight in self.parameters() if all(weight is not one for one in dense)]}

    def forward(self, batch: Batch, step: int) -> Loss:
        """Return the squared errors of the ratings plus the penalty; `parts` has the errors alone."""
        row, code = batch.entry_rows(), self.encode_trained(batch)
        weights = batch.weights.to(code.dtype)[row]
        errors = (self.score_pairs(code, row, batch.indices) - batch.values).square() @ weights
        total = errors + self.penalty(batch, code) @ weights
        if not batch.indices.numel():
            # DDP needs a gradient of every weight, also in a process without ratings.
            total = total + 0 * sum(weight.sum() for weight in self.parameters() if weight.requires_grad)
        return Loss(total, weights.sum(), {"squared_error": errors.detach()})

    def loss_count(self, batch: Batch) -> Tensor:
        """Return the number of ratings of counting rows."""
        return (batch.lengths() * batch.weights).sum()

    def penalty(self, batch: Batch, code: Tensor) -> Tensor:
        """Return the penalty of each rating, (nnz,); `code` is the result of encode_trained."""
        row, damping = batch.entry_rows(), self.settings.damping
        row_penalty = code[:, :-1].square().sum(1) * damped_weights(batch.lengths(), damping)
        column_penalty = self.columns.weight.square().sum(1) * damped_weights(self.column_counts, damping)
        biases = code[:, -1].square()[row] + self.column_bias[batch.indices].square()
        return self.settings.l2 * (row_penalty[row] + column_penalty[batch.indices]) + self.settings.bias_l2 * biases

    def encode(self, batch: Batch) -> Tensor:
        """Return zeros, (n, embedding + 1): the network has no codes for histories not seen in training."""
        return self.row_bias.new_zeros(len(batch), self.settings.embedding + 1)

    def encode_trained(self, batch: Batch) -> Tensor:
        """Return embeddings and biases of batch.rows, (n, embedding + 1); they must be rows of the training matrix."""
        return torch.cat([self.rows(batch.rows), self.row_bias[batch.rows, None]], 1)

    @property
    def output_weight(self) -> Tensor:
        """Return the items' embeddings, (n_columns, embedding)."""
        return self.columns.weight

    @property
    def output_bias(self) -> Tensor:
        """Return the items' biases, (n_columns,)."""
        return self.column_bias

    def score_pairs(self, hidden: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Return the ratings of single pairs, (n_pairs,)."""
        step = max(1, CHUNK_FLOATS // self.dense.in_features)
        parts = [
            self._ratings(hidden[rows], columns)
            for rows, columns in zip(torch.split(row, step), torch.split(column, step), strict=True)
        ]
        return torch.cat([hidden.new_zeros(0), *parts])

    def _ratings(self, hidden: Tensor, column: Tensor) -> Tensor:
        """Return the rating of each pair of a hidden row and a column, (n,)."""
        users, items = hidden[:, :-1], self.columns(column)
        products = (users[:, :, None] * items[:, None, :]).flatten(1)
        units = torch.relu(self.dense(products))
        ratings: Tensor = self.last(nn.functional.dropout(units, self.settings.dropout, self.training))[:, 0]
        return ratings + hidden[:, -1] + self.column_bias[column]

    @torch.no_grad()
    def score_block(self, hidden: Tensor, first: int, last: int) -> Tensor:
        """Return the ratings of columns [first, last) for each row, (n, last - first).

        There is no dropout. With a fixed user embedding the dense layer is a matrix of units x embedding on the item's
        embedding. This is cheaper than the outer products by a factor of the embedding length.
        """
        width = self.settings.embedding
        layer = self.dense.weight.view(-1, width, width)
        items, scores = self.columns.weight[first:last], []
        step = max(1, CHUNK_FLOATS // (self.settings.units * max(1, last - first)))
        for part in torch.split(hidden, step):
            user_layers = torch.einsum("ne,hef->nhf", part[:, :-1], layer)
            units = torch.relu_(torch.einsum("nhf,mf->nmh", user_layers, items) + self.dense.bias)
            scores.append(self.last(units)[:, :, 0] + part[:, -1:] + self.column_bias[first:last])
        return torch.cat(scores)

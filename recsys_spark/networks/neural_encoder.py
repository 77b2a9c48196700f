"""A neural rating encoder: the outer product of a user's and a movie's embedding, through dense layers to a rating.

The trained embeddings are the encodings of users and items. Two units of the dense layer start as the inner product of
the embeddings, so that the network begins as a matrix factorisation; the dense layers then move by small steps, as at
full ones they soon know the ratings by heart.

The origin trains it unregularised (`initialisation` random, `dense_rate` 1, `units` 500, `dropout` 0, `l2` 0, `biased`
false, `average` 0, `epochs` 50, `patience` 0), where it overfits. A step of the origin is 128 ratings, here it is the
ratings of `batch_rows` users.
"""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from recsys_spark.core.search_space import Range, SearchSpace
from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.damping import weight_of_entries
from recsys_spark.networks.network import Loss, Network, NetworkSettings, Shape

__all__ = ["NeuralEncoder", "NeuralEncoderSettings"]

# Deviation of first weights that are to be nearly nothing, or what others are multiplied by.
SMALL = 0.1
# Floats of outer products, or of hidden units, formed at a time.
CHUNK_FLOATS = 2**24


class NeuralEncoderSettings(NetworkSettings):
    """What MovieLens-100K likes, by its validation data."""

    search_space: ClassVar[SearchSpace] = {
        "embedding": Range(8, 64, log=True),
        "units": Range(8, 256, log=True),
        "l2": Range(0.5, 3.0, log=True),
        "dense_rate": Range(1e-3, 3e-2, log=True),
        "learning_rate": Range(3e-3, 3e-2, log=True),
    }

    embedding: int = Field(default=32, ge=1, le=256, description="Length of the embeddings of users and items.")
    units: int = Field(default=32, ge=2, description="Units of the dense layer on the outer product.")
    initialisation: Literal["inner", "random"] = Field(
        default="inner", description="First dense layers: near the inner product of the embeddings, or all random."
    )
    dense_rate: float = Field(
        default=3e-3, ge=0, le=1, description="Step size of the dense layers, as a part of that of the embeddings."
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Share of the units dropped in training.")
    biased: bool = Field(default=True, description="Add a bias of each user and of each item to the rating.")
    l2: float = Field(default=1.25, ge=0, description="Weight of the squared embeddings; see damping.")
    damping: float = Field(
        default=0.5, ge=0, le=1, description="l2 counts n ** (1 - damping) times for a user or item of n ratings."
    )
    bias_l2: float = Field(default=1e-3, ge=0, description="Weight of the squared biases, a time each rating.")
    start: float = Field(default=3.6, description="Prediction that training starts from, about the mean rating.")
    epochs: int = Field(default=60, ge=1, le=10_000, description="Passes over the data at most.")
    batch_rows: int = Field(default=32, ge=1, description="Rows of a step, over all processes.")
    learning_rate: float = Field(default=0.01, gt=0, description="Step size of the optimiser at its largest.")
    average: float = Field(
        default=0.99, ge=0, lt=1, description="Keep a running average of the weights with this decay a step; 0: none."
    )


class NeuralEncoder(Network):
    """rating = w . relu(W vec(u v') + c) + b of the user + b of the item + offset, u and v embeddings.

    Rows are users; a code is u with the user's bias behind it. Scores are no products with a row a column: what asks
    for them calls `score_block` or `score_pairs`.
    """

    Settings: ClassVar[type[NetworkSettings]] = NeuralEncoderSettings
    shard_spec: ClassVar[ShardSpec] = ShardSpec(rows="users", values="rating")
    metric: ClassVar[str] = "rmse"
    fold_in: ClassVar[Literal["forward", "none"]] = "none"
    by_products: ClassVar[bool] = False
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
        """relu(u . v) - relu(-u . v) = u . v; the other units start small, users smaller than items."""
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
        """The dense layers in a group of their own, but for the last bias, which is the mean rating."""
        dense = [self.dense.weight, self.dense.bias, self.last.weight]
        yield {"params": dense, "rate_factor": self.settings.dense_rate}
        yield {"params": [weight for weight in self.parameters() if all(weight is not one for one in dense)]}

    def forward(self, batch: Batch, step: int) -> Loss:
        """Squared errors of the ratings, and the penalty; `parts` has the errors alone."""
        row, code = batch.entry_rows(), self.encode_trained(batch)
        weights = batch.weights.to(code.dtype)[row]
        errors = (self.score_pairs(code, row, batch.indices) - batch.values).square() @ weights
        total = errors + self.penalty(batch, code) @ weights
        if not batch.indices.numel():
            # Every weight has a gradient, also where the other processes have all the ratings.
            total = total + 0 * sum(weight.sum() for weight in self.parameters() if weight.requires_grad)
        return Loss(total, weights.sum(), {"squared_error": errors.detach()})

    def penalty(self, batch: Batch, code: Tensor) -> Tensor:
        """What each rating adds, (nnz,); code as of encode_trained."""
        row, damping = batch.entry_rows(), self.settings.damping
        of_rows = code[:, :-1].square().sum(1) * weight_of_entries(batch.lengths(), damping)
        of_columns = self.columns.weight.square().sum(1) * weight_of_entries(self.column_counts, damping)
        biases = code[:, -1].square()[row] + self.column_bias[batch.indices].square()
        return self.settings.l2 * (of_rows[row] + of_columns[batch.indices]) + self.settings.bias_l2 * biases

    def encode(self, batch: Batch) -> Tensor:
        """Zeros, (n, embedding + 1): it cannot say anything of a history that it was not trained on."""
        return self.row_bias.new_zeros(len(batch), self.settings.embedding + 1)

    def encode_trained(self, batch: Batch) -> Tensor:
        """(n, embedding + 1): embeddings and biases of batch.rows, which have to be rows that it was made for."""
        return torch.cat([self.rows(batch.rows), self.row_bias[batch.rows, None]], 1)

    @property
    def output_weight(self) -> Tensor:
        """The items' embeddings, (n_columns, embedding)."""
        return self.columns.weight

    @property
    def output_bias(self) -> Tensor:
        """The items' biases, (n_columns,)."""
        return self.column_bias

    def score_pairs(self, hidden: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Ratings of single pairs, (n_pairs,)."""
        step = max(1, CHUNK_FLOATS // self.dense.in_features)
        parts = [
            self._ratings(hidden[rows], columns)
            for rows, columns in zip(torch.split(row, step), torch.split(column, step), strict=True)
        ]
        return torch.cat([hidden.new_zeros(0), *parts])

    def _ratings(self, hidden: Tensor, column: Tensor) -> Tensor:
        """Ratings of each hidden with the column beside it."""
        users, items = hidden[:, :-1], self.columns(column)
        products = (users[:, :, None] * items[:, None, :]).flatten(1)
        units = torch.relu(self.dense(products))
        ratings: Tensor = self.last(nn.functional.dropout(units, self.settings.dropout, self.training))[:, 0]
        return ratings + hidden[:, -1] + self.column_bias[column]

    @torch.no_grad()
    def score_block(self, hidden: Tensor, first: int, last: int) -> Tensor:
        """Ratings of columns first to last for each row, (n, last - first), without dropout.

        A user's embedding turns the dense layer into one on the item's embedding alone, a matrix of units x embedding:
        as many times cheaper than the outer products as an embedding is long.
        """
        width = self.settings.embedding
        layer = self.dense.weight.view(-1, width, width)
        items, scores = self.columns.weight[first:last], []
        step = max(1, CHUNK_FLOATS // (self.settings.units * max(1, last - first)))
        for part in torch.split(hidden, step):
            of_users = torch.einsum("ne,hef->nhf", part[:, :-1], layer)
            units = torch.relu_(torch.einsum("nhf,mf->nmh", of_users, items) + self.dense.bias)
            scores.append(self.last(units)[:, :, 0] + part[:, -1:] + self.column_bias[first:last])
        return torch.cat(scores)

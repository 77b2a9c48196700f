"""A neural rating encoder: the outer product of a user's and a movie's embedding, through dense layers to a rating.

The trained embeddings are the encodings of users and items. The origin trains them unregularised (`dropout` 0, `l2` 0,
`biased` false, `learning_rate` 0.01, `epochs` 50, `patience` 0), where it overfits; the defaults do not. A step of the
origin is 128 ratings, here it is the ratings of `batch_rows` users.
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Loss, Network, NetworkSettings, Shape
from recsys_spark.ranges import Range, Ranges
from recsys_spark.recipe import Recipe

__all__ = ["NeuralEncoder", "NeuralEncoderSettings"]

# Floats of outer products, or of hidden units, formed at a time.
CHUNK_FLOATS = 2**24


class NeuralEncoderSettings(NetworkSettings):
    """What MovieLens-100K likes, by its validation data."""

    ranges: ClassVar[Ranges] = {
        "embedding": Range(8, 64, log=True),
        "units": Range(50, 500, log=True),
        "dropout": Range(0.0, 0.8),
        "l2": Range(1e-3, 0.3, log=True),
        "learning_rate": Range(3e-4, 1e-2, log=True),
    }

    embedding: int = Field(default=32, ge=1, le=256, description="Length of the embeddings of users and items.")
    units: int = Field(default=500, ge=1, description="Units of the dense layer on the outer product.")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="Share of those units dropped in training.")
    biased: bool = Field(default=True, description="Add a bias of each user and of each item to the rating.")
    l2: float = Field(default=0.05, ge=0, description="Weight of squared embeddings and biases, a time each rating.")
    start: float = Field(default=3.6, description="Prediction that training starts from, about the mean rating.")
    batch_rows: int = Field(default=16, ge=1, description="Rows of a step, over all processes.")
    average: float = Field(
        default=0.99, ge=0, lt=1, description="Keep a running average of the weights with this decay a step; 0: none."
    )


class NeuralEncoder(Network):
    """rating = w . relu(W vec(u v') + c) + b of the user + b of the item + offset, u and v embeddings.

    Rows are users; a code is u with the user's bias behind it. Scores are no products with a row a column: what asks
    for them calls `score_block` or `score_pairs`.
    """

    Settings: ClassVar[type[NetworkSettings]] = NeuralEncoderSettings
    recipe: ClassVar[Recipe] = Recipe(rows="users", values="rating")
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
        self.row_bias = nn.Parameter(torch.zeros(shape.n_rows), requires_grad=settings.biased)
        self.column_bias = nn.Parameter(torch.zeros(shape.n_columns), requires_grad=settings.biased)

    def forward(self, batch: Batch, step: int) -> Loss:
        """Squared errors of the ratings and l2 times the squared embeddings and biases of each; `parts` has the errors
        alone.
        """
        row, code = batch.entry_rows(), self.encode_trained(batch)
        weights = batch.weights.to(code.dtype)[row]
        errors = (self.score_pairs(code, row, batch.indices) - batch.values).square() @ weights
        sizes = code.square().sum(1)[row] + self.columns(batch.indices).square().sum(1)
        penalty = (sizes + self.column_bias[batch.indices].square()) @ weights
        total = errors + self.settings.l2 * penalty
        if not batch.indices.numel():
            # Every weight has a gradient, also where the other processes have all the ratings.
            total = total + 0 * sum(weight.sum() for weight in self.parameters() if weight.requires_grad)
        return Loss(total, weights.sum(), {"squared_error": errors.detach()})

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

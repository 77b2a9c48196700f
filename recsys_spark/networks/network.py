"""What every network answers, so that training, recommending and evaluating exist once.

A network encodes sparse rows into codes and ends, as a rule, in an output layer with one row of weights a column of
the matrix. So a score is a dot product of what comes before that layer with a column's row, plus its bias: ranking,
which knows dot products, serves it. A network that combines rows and columns in other ways says so and scores itself.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from recsys_spark.core.names import NETWORKS, load_named
from recsys_spark.core.search_space import SearchSpace
from recsys_spark.core.shard_spec import ShardSpec, side_fields
from recsys_spark.networks.batch import Batch

__all__ = ["Loss", "Network", "NetworkSettings", "Shape", "load_network"]

# Floats gathered at a time to score pairs.
PAIR_FLOATS = 1 << 24


class NetworkSettings(BaseModel):
    """Settings of training that every network has; each network sets defaults of its own."""

    search_space: ClassVar[SearchSpace] = {}

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(default=30, ge=1, le=10_000, description="Passes over the data at most.")
    batch_rows: int = Field(default=256, ge=1, description="Rows of a step, over all processes.")
    learning_rate: float = Field(default=1e-3, gt=0, description="Step size of the optimiser at its largest.")
    schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="Course of the step size: constant, or falling to zero along a cosine."
    )
    weight_decay: float = Field(
        default=0.0, ge=0, description="Share of all weights lost a step, times its size (AdamW)."
    )
    average: float = Field(
        default=0.0, ge=0, lt=1, description="Keep a running average of the weights with this decay a step; 0: none."
    )
    patience: int = Field(
        default=5, ge=0, description="Epochs without a better validation metric before it stops; 0: never stops."
    )
    clip_norm: float = Field(default=0.0, ge=0, description="Largest norm of the gradient; 0: not clipped.")


class Shape(NamedTuple):
    """The matrix that a network is made for, and how many features profiles have."""

    n_rows: int
    n_columns: int
    side_features: int = 0


@dataclass(frozen=True)
class Loss:
    """The loss of a batch as a sum and what to divide it by, so that ranks with fewer rows weigh less.

    `total` and `count` are scalars, summed over all ranks before they are divided; `parts` are named scalars of the
    same kind (sums), for the log.
    """

    total: Tensor
    count: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)


class Network(nn.Module, ABC):
    """One kind of network, made for a matrix of a certain shape.

    `shard_spec` says what its shards hold, `metric` what it is chosen by on validation data: ndcg@K or recall@K (larger
    is better), rmse (smaller). `fold_in` says how it serves histories that it was not trained on: by a forward
    pass, or not at all. `similar_lengths` asks for steps of rows of similar lengths, as rows are padded.
    `by_products` says whether scores are dot products with `output_weight`; if not, score_block and score_pairs count.
    """

    Settings: ClassVar[type[NetworkSettings]]
    shard_spec: ClassVar[ShardSpec] = ShardSpec()
    metric: ClassVar[str] = "ndcg@100"
    fold_in: ClassVar[Literal["forward", "none"]] = "forward"
    similar_lengths: ClassVar[bool] = False
    by_products: ClassVar[bool] = True

    output: nn.Linear

    def __init__(self, settings: Any, shape: Shape) -> None:
        super().__init__()
        self.settings = settings
        self.shape = shape
        self.column_counts: Tensor
        self.register_buffer("column_counts", torch.zeros(shape.n_columns, dtype=torch.int64))

    def set_column_counts(self, counts: Tensor) -> None:
        """Takes the number of training entries of each column, (n_columns,) int64, before training starts."""
        self.column_counts.copy_(counts)

    @classmethod
    def shard_spec_of(cls, settings: BaseModel) -> ShardSpec:
        """What its shards hold: `shard_spec`, with the fields of profiles that the settings name, if any."""
        return replace(cls.shard_spec, side=side_fields(settings))

    @abstractmethod
    def forward(self, batch: Batch, step: int) -> Loss:
        """The training loss of a batch at a global step (from 0)."""

    @abstractmethod
    def encode(self, batch: Batch) -> Tensor:
        """Codes of the rows, (n, d), without noise; what user_vectors or item_vectors hold."""

    def encode_trained(self, batch: Batch) -> Tensor:
        """Codes of rows that it was trained on, (n, d): with what it has learned of them by their number."""
        return self.encode(batch)

    def decode(self, code: Tensor) -> Tensor:
        """What the output layer multiplies, (n, h); the code itself unless there are layers in between."""
        return code

    @property
    def output_weight(self) -> Tensor:
        """A row for each column of the matrix, (n_columns, h); that of the layer `output` unless overridden."""
        return self.output.weight

    @property
    def output_bias(self) -> Tensor:
        """A number for each column, (n_columns,); that of the layer `output` unless overridden."""
        return self.output.bias

    @property
    def column_vectors(self) -> Tensor:
        """What describes the columns, (n_columns, d), for cosines between them; output_weight unless overridden."""
        return self.output_weight

    @property
    def served_columns(self) -> Tensor:
        """Columns that it may rank, (n_columns,) bool: those with training entries."""
        return self.column_counts > 0

    def parameter_groups(self) -> Iterator[dict[str, Any]]:
        """Groups for the optimiser; all weights with the settings' decay unless overridden."""
        yield {"params": list(self.parameters())}

    def score_block(self, hidden: Tensor, first: int, last: int) -> Tensor:
        """Scores of columns first to last for each decoded row, (n, last - first)."""
        return torch.addmm(self.output_bias[first:last], hidden, self.output_weight[first:last].T)

    def score_pairs(self, hidden: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Scores of single pairs of a decoded row and a column, (n_pairs,)."""
        weight, bias = self.output_weight, self.output_bias
        step = max(1, PAIR_FLOATS // max(1, hidden.shape[1]))
        parts = (
            (hidden[rows] * weight[columns]).sum(1) + bias[columns]
            for rows, columns in zip(torch.split(row, step), torch.split(column, step), strict=True)
        )
        return torch.cat([hidden.new_zeros(0), *parts])

    @torch.no_grad()
    def scores(self, batch: Batch) -> Tensor:
        """Scores of every column for each row, (n, n_columns), in full: for small data and tests."""
        return self.score_block(self.decode(self.encode(batch)), 0, self.shape.n_columns)


def load_network(kind: str) -> type[Network]:
    """Return the class of a kind that trains with torch; KeyError for an unknown one."""
    loaded: type[Network] = load_named(NETWORKS[kind])
    return loaded

"""Interface of all networks, used by training, recommendation and evaluation.

A network encodes sparse rows into codes. Most networks end in an output layer with one row of weights for each column
of the matrix. A score is then the dot product of the layer's input with the row of a column, plus the column's bias,
which the ranking room computes. A network without such a layer sets `scores_are_dot_products` to False and computes
its own scores.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from recsys_spark.core.names import NETWORKS, load_named
from recsys_spark.core.shard_spec import ShardSpec, side_fields
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.settings.network import NetworkSettings

__all__ = ["Loss", "Network", "Shape", "load_network"]

# Floats gathered at a time to score pairs.
PAIR_FLOATS = 1 << 24


class Shape(NamedTuple):
    """Size of the matrix of a network, and number of distinct profile features."""

    n_rows: int
    n_columns: int
    side_features: int = 0


@dataclass(frozen=True)
class Loss:
    """Loss of a batch as a sum and its divisor.

    `total` and `count` are scalars, summed over all ranks before the division, so that ranks with fewer rows weigh
    less. `count` equals the network's loss_count of the batch. `parts` are named scalars, also sums, for the log.
    """

    total: Tensor
    count: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)


class Network(nn.Module, ABC):
    """One kind of network, for a matrix of a fixed shape.

    `shard_spec` describes the content of its shards. `metric` selects the best weights on validation data: ndcg@K or
    recall@K (larger is better), rmse (smaller is better). `fold_in` is the method for histories not seen in training:
    a forward pass, or none. `similar_lengths` asks for steps of rows of similar lengths, for networks that pad rows.
    `scores_are_dot_products` is True if scores are dot products with `output_weight`; if not, the network overrides
    score_block and score_pairs. `width_setting` names the setting that makes the largest arrays narrower.
    """

    Settings: ClassVar[type[NetworkSettings]]
    shard_spec: ClassVar[ShardSpec] = ShardSpec()
    metric: ClassVar[str] = "ndcg@100"
    fold_in: ClassVar[Literal["forward", "none"]] = "forward"
    similar_lengths: ClassVar[bool] = False
    scores_are_dot_products: ClassVar[bool] = True
    width_setting: ClassVar[str] = "units"

    output: nn.Linear

    def __init__(self, settings: Any, shape: Shape) -> None:
        super().__init__()
        self.settings = settings
        self.shape = shape
        self.column_counts: Tensor
        self.register_buffer("column_counts", torch.zeros(shape.n_columns, dtype=torch.int64))

    def set_column_counts(self, counts: Tensor) -> None:
        """Set the number of training entries of each column, (n_columns,) int64, before training starts."""
        self.column_counts.copy_(counts)

    @classmethod
    def shard_spec_of(cls, settings: BaseModel) -> ShardSpec:
        """Return `shard_spec` with the profile fields that the settings name."""
        return replace(cls.shard_spec, side=side_fields(settings))

    @abstractmethod
    def forward(self, batch: Batch, step: int) -> Loss:
        """Return the training loss of a batch at a global step (from 0)."""

    def loss_count(self, batch: Batch) -> Tensor:
        """Return the `count` of the loss of a batch, a scalar: its counting rows unless overridden.

        Training calls it for batches in the memory of the host, so that a step does not wait for the GPU.
        """
        return batch.weights.sum()

    @abstractmethod
    def encode(self, batch: Batch) -> Tensor:
        """Return the codes of the rows, (n, d), without noise: the content of user_vectors or item_vectors."""

    def encode_trained(self, batch: Batch) -> Tensor:
        """Return the codes of training rows, (n, d), including parameters learned for each row number."""
        return self.encode(batch)

    def decode(self, code: Tensor) -> Tensor:
        """Return the input of the output layer, (n, h): the code itself unless there are layers in between."""
        return code

    @property
    def output_weight(self) -> Tensor:
        """Return one row of weights for each column, (n_columns, h): those of the layer `output` unless overridden."""
        return self.output.weight

    @property
    def output_bias(self) -> Tensor:
        """Return the bias of each column, (n_columns,): that of the layer `output` unless overridden."""
        return self.output.bias

    @property
    def column_vectors(self) -> Tensor:
        """Return the column vectors for cosine similarity, (n_columns, d): output_weight unless overridden."""
        return self.output_weight

    @property
    def trained_columns(self) -> Tensor:
        """Return the columns with training entries, (n_columns,) bool: the ones that may be ranked."""
        return self.column_counts > 0

    def parameter_groups(self) -> Iterator[dict[str, Any]]:
        """Yield parameter groups for the optimiser: one group of all weights unless overridden."""
        yield {"params": list(self.parameters())}

    def score_block(self, hidden: Tensor, first: int, last: int) -> Tensor:
        """Return the scores of columns [first, last) for each decoded row, (n, last - first)."""
        return torch.addmm(self.output_bias[first:last], hidden, self.output_weight[first:last].T)

    def score_pairs(self, hidden: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Return the scores of single pairs of a decoded row and a column, (n_pairs,)."""
        weight, bias = self.output_weight, self.output_bias
        step = max(1, PAIR_FLOATS // max(1, hidden.shape[1]))
        parts = (
            (hidden[rows] * weight[columns]).sum(1) + bias[columns]
            for rows, columns in zip(torch.split(row, step), torch.split(column, step), strict=True)
        )
        return torch.cat([hidden.new_zeros(0), *parts])

    @torch.no_grad()
    def scores(self, batch: Batch) -> Tensor:
        """Return all scores as a dense matrix, (n, n_columns), for small data and tests."""
        return self.score_block(self.decode(self.encode(batch)), 0, self.shape.n_columns)


def load_network(kind: str) -> type[Network]:
    """Return the class of a kind that trains with torch; KeyError for an unknown one."""
    loaded: type[Network] = load_named(NETWORKS[kind])
    return loaded

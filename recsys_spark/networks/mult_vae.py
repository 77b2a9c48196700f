"""Mult-VAE (Liang et al. 2018): a variational autoencoder whose decoder is a multinomial over the columns.

A history is scaled to unit length, thinned by dropout, and encoded into a normal distribution per latent dimension;
a sample of it is decoded into logits of one softmax over all columns. Both halves have one hidden layer of the same
width. The paper counts 200,000 steps of annealing on data a hundred times MovieLens-1M; a few hundred are enough there.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from recsys_spark.core.search_space import Choice, Range, SearchSpace
from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Loss, Network, NetworkSettings, Shape
from recsys_spark.networks.output_layer import multinomial_loss
from recsys_spark.networks.sparse_linear import SparseLinear, drop_entries, unit_rows

__all__ = ["MultVae", "MultVaeSettings"]


class MultVaeSettings(NetworkSettings):
    """What MovieLens-1M likes: on its validation data larger steps whose weights are averaged gain 0.015 NDCG@10."""

    search_space: ClassVar[SearchSpace] = {
        "learning_rate": Range(3e-4, 1e-2, log=True),
        "dropout": Range(0.2, 0.8),
        "beta": Range(0.05, 1.0),
        "latent": Range(32, 256, log=True),
        "weight_decay": Range(1e-5, 1.0, log=True),
        "schedule": Choice(("constant", "cosine")),
    }

    batch_rows: int = Field(default=100, ge=1, description="Rows of a step, over all processes.")
    learning_rate: float = Field(default=3e-3, gt=0, description="Step size of the optimiser at its largest.")
    average: float = Field(
        default=0.99, ge=0, lt=1, description="Keep a running average of the weights with this decay a step; 0: none."
    )
    weight_decay: float = Field(default=0.1, ge=0, description="Decay of all weights by the optimiser (AdamW).")
    hidden: int = Field(default=600, ge=1, description="Units of the hidden layer on either side of the code.")
    latent: int = Field(default=64, ge=1, description="Dimensions of the code.")
    dropout: float = Field(default=0.6, ge=0, lt=1, description="Share of the input entries dropped in training.")
    beta: float = Field(default=0.2, ge=0, description="Weight of the divergence from the prior once annealed.")
    anneal_steps: int = Field(default=400, ge=0, description="Steps in which that weight grows from zero, linearly.")


class MultVae(Network):
    """n - hidden - latent - hidden - n with tanh; the code is the mean of the latent distribution."""

    Settings = MultVaeSettings
    shard_spec: ClassVar[ShardSpec] = ShardSpec(values="one")
    metric: ClassVar[str] = "ndcg@100"
    settings: MultVaeSettings

    def __init__(self, settings: MultVaeSettings, shape: Shape) -> None:
        super().__init__(settings, shape)
        self.first = SparseLinear(shape.n_columns, settings.hidden)
        self.posterior = nn.Linear(settings.hidden, 2 * settings.latent)
        self.decoder = nn.Linear(settings.latent, settings.hidden)
        # Holds the weights only: the output layer is multiplied together with its loss.
        self.output = nn.Linear(settings.hidden, shape.n_columns)
        for layer in (self.posterior, self.decoder, self.output):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, batch: Batch, step: int) -> Loss:
        """Negative log-likelihood plus the annealed divergence, summed over the rows; without noise in eval mode."""
        mean, log_variance = self._latent(drop_entries(unit_rows(batch), self.settings.dropout, self.training))
        code = mean + torch.randn_like(mean) * (log_variance / 2).exp() if self.training else mean
        reconstruction = multinomial_loss(self.decode(code), self.output_weight, self.output_bias, batch)
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
        kl = divergence @ batch.weights
        parts = {"reconstruction": reconstruction.detach(), "kl": kl.detach()}
        return Loss(reconstruction + self.beta(step) * kl, batch.weights.sum(), parts)

    def beta(self, step: int) -> float:
        """The weight of the divergence at a step."""
        return self.settings.beta * min(1.0, step / max(1, self.settings.anneal_steps))

    def encode(self, batch: Batch) -> Tensor:
        """(n, latent)."""
        return self._latent(unit_rows(batch))[0]

    def decode(self, code: Tensor) -> Tensor:
        """(n, hidden)."""
        return torch.tanh(self.decoder(code))

    def _latent(self, batch: Batch) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.posterior(self.first(batch).tanh()).chunk(2, dim=1)
        return mean, log_variance

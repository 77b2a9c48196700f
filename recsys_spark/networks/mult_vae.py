"""Mult-VAE: variational autoencoder with a multinomial decoder over the columns (Liang et al. 2018).

A history is scaled to unit length, passed through dropout, and encoded into a normal distribution per latent dimension.
A sample of it is decoded into the logits of one softmax over all columns. Encoder and decoder have one hidden layer of
the same width. The paper anneals over 200,000 steps on data a hundred times larger than MovieLens-1M, for which a few
hundred steps are enough.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Loss, Network, Shape
from recsys_spark.networks.output_layer import multinomial_loss
from recsys_spark.networks.products import weighted_sum
from recsys_spark.networks.settings.mult_vae import MultVaeSettings
from recsys_spark.networks.sparse_linear import SparseLinear, drop_entries, unit_rows

__all__ = ["MultVae"]


class MultVae(Network):
    """Mult-VAE with one hidden layer per side: n - hidden - latent - hidden - n, with tanh.

    The code is the mean of the latent distribution.
    """

    Settings = MultVaeSettings
    shard_spec: ClassVar[ShardSpec] = ShardSpec(values="one")
    metric: ClassVar[str] = "ndcg@100"
    width_setting: ClassVar[str] = "hidden"
    settings: MultVaeSettings

    def __init__(self, settings: MultVaeSettings, shape: Shape) -> None:
        super().__init__(settings, shape)
        self.first = SparseLinear(shape.n_columns, settings.hidden)
        self.posterior = nn.Linear(settings.hidden, 2 * settings.latent)
        self.decoder = nn.Linear(settings.latent, settings.hidden)
        # This layer only holds the weights: multinomial_loss multiplies by them.
        self.output = nn.Linear(settings.hidden, shape.n_columns)
        for layer in (self.posterior, self.decoder, self.output):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, batch: Batch, step: int) -> Loss:
        """Return the negative log-likelihood plus the annealed divergence, summed over the rows.

        Codes have noise in training mode only.
        """
        mean, log_variance = self._latent(drop_entries(unit_rows(batch), self.settings.dropout, self.training))
        code = mean + torch.randn_like(mean) * (log_variance / 2).exp() if self.training else mean
        reconstruction = multinomial_loss(self.decode(code), self.output_weight, self.output_bias, batch)
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
        kl = weighted_sum(divergence, batch.weights)
        parts = {"reconstruction": reconstruction.detach(), "kl": kl.detach()}
        return Loss(reconstruction + self.beta(step) * kl, batch.weights.sum(), parts)

    def beta(self, step: int) -> float:
        """Return the weight of the divergence at a step."""
        return self.settings.beta * min(1.0, step / max(1, self.settings.anneal_steps))

    def encode(self, batch: Batch) -> Tensor:
        """Return the means of the latent distribution, (n, latent)."""
        return self._latent(unit_rows(batch))[0]

    def decode(self, code: Tensor) -> Tensor:
        """Return the hidden layer of the decoder, (n, hidden)."""
        return torch.tanh(self.decoder(code))

    def _latent(self, batch: Batch) -> tuple[Tensor, Tensor]:
        hidden = self.first(batch).tanh()
        mean, log_variance = self.posterior(hidden).to(hidden.dtype).chunk(2, dim=1)
        return mean, log_variance

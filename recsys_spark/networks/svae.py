"""SVAE: recurrent variational autoencoder of histories in order of time (Sachdeva et al., WSDM 2019).

After each item of a history the network predicts the next few items. The paper trains one user at a time. Here the
histories of a batch run in parallel and their positions become the rows of one output layer, which gives the same
sums. The histories of a batch have similar lengths, because the GRU runs to the end of the longest one. Long
histories are cut to their last part, which bounds the number of GRU steps of a batch and drops the oldest plays.

The paper's weight of the divergence is 0.2 for a whole history, whose likelihoods are summed while divergences are
averaged. Here both are averaged over positions, so that weight corresponds to 0.2 divided by the usual length of a
history; a somewhat larger value gave better results.

The initial values decide the training time. Output biases equal to the popularity of the items, with weights near
zero, leave only the effect of histories to be learned. Embeddings of the order of one have an effect on the gates of
the GRU from the start. With both, the likelihood on MovieLens-1M after 300 steps is 6.2 nats per position; without
either it is 7.0, and that of popularity is 7.2.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Loss, Network, Shape
from recsys_spark.networks.output_layer import multinomial_loss
from recsys_spark.networks.products import weighted_sum, without_autocast
from recsys_spark.networks.settings.network import NetworkSettings
from recsys_spark.networks.settings.svae import SvaeSettings

__all__ = ["Svae", "last_entries", "next_entries"]


class Svae(Network):
    """SVAE: items -> embedding -> GRU -> tanh -> latent normal -> tanh -> softmax over the columns, at each position.

    The loss of a position is the negative multinomial log-likelihood of the next k items, each with weight 1 / k (near
    the end of a history there are fewer), plus beta times the divergence from N(0, 1). `Loss.count` is the number of
    positions with a next item, 0 if all histories are shorter than two items.
    """

    Settings: ClassVar[type[NetworkSettings]] = SvaeSettings
    shard_spec: ClassVar[ShardSpec] = ShardSpec(order="time")
    similar_lengths: ClassVar[bool] = True
    width_setting: ClassVar[str] = "embedding"

    settings: SvaeSettings

    def __init__(self, settings: SvaeSettings, shape: Shape) -> None:
        super().__init__(settings, shape)
        self.embedding = nn.Embedding(shape.n_columns, settings.embedding)
        self.gru = nn.GRU(settings.embedding, settings.recurrent)
        inner, outer = nn.Linear(settings.recurrent, settings.hidden), nn.Linear(settings.latent, settings.hidden)
        self.latent = nn.Linear(settings.hidden, 2 * settings.latent)
        for layer in (inner, self.latent, outer):
            nn.init.xavier_normal_(layer.weight)
        self.encoder, self.decoder = nn.Sequential(inner, nn.Tanh()), nn.Sequential(outer, nn.Tanh())
        self.output = nn.Linear(settings.hidden, shape.n_columns)
        # A small initial variance, so that noise does not dominate the codes.
        nn.init.constant_(self.latent.bias[settings.latent :], -4.0)
        nn.init.normal_(self.output.weight, std=0.005)

    def set_column_counts(self, counts: Tensor) -> None:
        """Set the column counts, and the output biases to the log shares of the columns.

        Columns without entries count as half an entry.
        """
        super().set_column_counts(counts)
        with torch.no_grad():
            shares = counts.clamp_min(0.5) / counts.clamp_min(0.5).sum()
            self.output.bias.copy_(shares.log())

    def forward(self, batch: Batch, step: int) -> Loss:
        """Return the loss over the positions of counting rows; codes have noise in training mode only."""
        batch = last_entries(batch, self.settings.max_length)
        positions, targets = next_entries(batch, self.settings.next_items)
        if not positions.numel():
            return self._zero_loss()
        mean, log_variance = self._latent(self._states(batch)[positions])
        code = mean + torch.randn_like(mean) * (log_variance / 2).exp() if self.training else mean
        likelihood = multinomial_loss(self.decode(code), self.output_weight, self.output_bias, targets)
        divergences = (log_variance.exp() + mean.square() - 1 - log_variance).sum(dim=1) / 2
        divergence = weighted_sum(divergences, targets.weights)
        total = likelihood + self._beta(step) * divergence
        parts = {"likelihood": likelihood.detach(), "divergence": divergence.detach()}
        return Loss(total, targets.weights.sum(), parts)

    def loss_count(self, batch: Batch) -> Tensor:
        """Return the number of positions with a next item, in counting rows."""
        return ((batch.lengths().clamp(max=self.settings.max_length) - 1).clamp_min(0) * batch.weights).sum()

    def encode(self, batch: Batch) -> Tensor:
        """Return the means of the latent code after the last item, (n, latent); zeros for an empty history."""
        batch = last_entries(batch, self.settings.max_length)
        codes = self.latent.weight.new_zeros(len(batch), self.settings.latent)
        filled = batch.lengths() > 0
        if filled.any():
            last = batch.indptr[1:][filled] - 1
            codes[filled] = self._latent(self._states(batch)[last])[0]
        return codes

    def decode(self, code: Tensor) -> Tensor:
        """Return the layer before the softmax, (n, hidden)."""
        hidden: Tensor = self.decoder(code)
        return hidden

    def _states(self, batch: Batch) -> Tensor:
        """Return the GRU states after each entry, (nnz, recurrent), in the order of the entries; nnz > 0."""
        places = (_places(batch), batch.entry_rows())
        shape = (int(batch.lengths().max()), len(batch), self.settings.embedding)
        # Padding follows the last entry, where it has no effect on earlier states. A PackedSequence would skip the
        # padding, but its backward pass on CPUs clears the gradient of all steps at each step.
        padded = self.embedding.weight.new_zeros(shape).index_put(places, self.embedding(batch.indices))
        with without_autocast(padded.device):
            states, _ = self.gru(padded)
        return torch.as_tensor(states[places])

    def _latent(self, states: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.latent(self.encoder(states)).to(states.dtype).chunk(2, dim=1)
        return mean, log_variance

    def _beta(self, step: int) -> float:
        return self.settings.beta * min(1.0, (step + 1) / max(self.settings.anneal_steps, 1))

    def _zero_loss(self) -> Loss:
        """Return a loss of zero with a gradient for every weight, as DDP requires."""
        zero = sum((weight.sum() * 0 for weight in self.parameters()), self.output_bias.new_zeros(()))
        return Loss(zero, zero.detach(), {"likelihood": zero.detach(), "divergence": zero.detach()})


def last_entries(batch: Batch, n: int) -> Batch:
    """Return the batch with at most the last `n` entries of each row."""
    lengths = batch.lengths()
    if not (lengths > n).any():
        return batch
    kept = _places(batch) >= (lengths - n)[batch.entry_rows()]
    indptr = nn.functional.pad(lengths.clamp(max=n).cumsum(0), (1, 0))
    return Batch(batch.rows, indptr, batch.indices[kept], batch.values[kept], batch.weights, batch.n_columns)


def next_entries(batch: Batch, n: int) -> tuple[Tensor, Batch]:
    """Return the entries with a next entry, (n_positions,), and a batch of their next entries.

    Only counting rows are used. The batch has one row per position with up to `n` following entries, each of value
    1 / n.
    """
    entry_rows = batch.entry_rows()
    following = (batch.lengths()[entry_rows] - 1 - _places(batch)).clamp(max=n)
    positions = ((following > 0) & (batch.weights[entry_rows] > 0)).nonzero().squeeze(1)
    counts = following[positions]
    indptr = nn.functional.pad(counts.cumsum(0), (1, 0))
    # Element k of row p is entry positions[p] + k + 1.
    starts = torch.repeat_interleave(positions + 1 - indptr[:-1], counts)
    indices = batch.indices[starts + torch.arange(starts.numel(), device=starts.device)]
    values = batch.values.new_full((indices.numel(),), 1 / n)
    rows = entry_rows[positions]
    return positions, Batch(batch.rows[rows], indptr, indices, values, batch.weights[rows], batch.n_columns)


def _places(batch: Batch) -> Tensor:
    """Return the position of each entry within its row, from 0, (nnz,)."""
    return torch.arange(batch.indices.numel(), device=batch.indices.device) - batch.indptr[batch.entry_rows()]

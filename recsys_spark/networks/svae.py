"""SVAE: a recurrent variational autoencoder of histories in their order (Sachdeva et al., WSDM 2019).

After each item of a history it predicts the next few. The paper trains one user at a time; here the histories of a
batch run side by side and their positions become the rows of one output layer, which gives the same sums. Those of a
batch are of similar lengths, as the GRU walks all of them to the end of the longest, in tiny steps. Long
histories are cut to their last part: it bounds the steps of a batch, at the price of the oldest plays.

The paper's weight of the divergence is 0.2 for a whole history, whose likelihoods are added up while divergences are
averaged. Here both are averaged over positions, which makes it 0.2 over the usual length of a history; somewhat more
turned out better.

Where training starts decides how long it takes. A softmax that begins with the popularity of the items, weights near
zero, has nothing to learn but what histories add to it, and embeddings of the order of one reach the gates of the
GRU: after 300 steps on MovieLens-1M the likelihood is 6.2 nats a position, without either 7.0, that of popularity 7.2.
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from recsys_spark.core.search_space import Choice, Range, SearchSpace
from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Loss, Network, NetworkSettings, Shape
from recsys_spark.networks.output_layer import multinomial_loss

__all__ = ["Svae", "SvaeSettings", "last_entries", "next_entries"]


class SvaeSettings(NetworkSettings):
    """The paper's layers; a batch of 24 histories is some 2,500 items in MovieLens 1M.

    On its validation data a short training with large steps that fall to zero, averaged weights and much decay gains
    0.015 NDCG@100.
    """

    search_space: ClassVar[SearchSpace] = {
        "learning_rate": Range(5e-4, 5e-3, log=True),
        "beta": Range(5e-4, 0.05, log=True),
        "weight_decay": Range(1e-3, 0.5, log=True),
        "schedule": Choice(("constant", "cosine")),
    }

    embedding: int = Field(default=256, ge=1, description="Width of the item embeddings that the GRU reads.")
    recurrent: int = Field(default=200, ge=1, description="Width of the GRU.")
    hidden: int = Field(default=150, ge=1, description="Width of the layers before and after the latent code.")
    latent: int = Field(default=64, ge=1, description="Width of the latent code.")
    next_items: int = Field(default=4, ge=1, description="Following items that each position predicts.")
    max_length: int = Field(default=400, ge=2, description="Latest items of a history that are read.")
    beta: float = Field(default=0.005, ge=0, description="Weight of the Kullback-Leibler divergence at its largest.")
    anneal_steps: int = Field(default=1000, ge=0, description="Steps over which that weight grows from 0, linearly.")
    epochs: int = Field(default=6, ge=1, le=10_000, description="Passes over the data at most.")
    schedule: Literal["constant", "cosine"] = Field(
        default="cosine", description="Course of the step size: constant, or falling to zero along a cosine."
    )
    average: float = Field(
        default=0.99, ge=0, lt=1, description="Keep a running average of the weights with this decay a step; 0: none."
    )
    batch_rows: int = Field(default=24, ge=1, description="Rows of a step, over all processes.")
    learning_rate: float = Field(default=4e-3, gt=0, description="Step size of the optimiser at its largest.")
    weight_decay: float = Field(default=0.2, ge=0, description="Decay of all weights by the optimiser (AdamW).")


class Svae(Network):
    """Items -> embedding -> GRU -> tanh -> latent normal -> tanh -> softmax over the columns, at each position.

    The loss of a position is the multinomial likelihood of the next k items, each weighing 1 / k (near the end of a
    history there are fewer), plus beta times the divergence from N(0, 1). `Loss.count` is the number of positions
    with a next item, which is 0 where all histories are shorter than two items.
    """

    Settings: ClassVar[type[NetworkSettings]] = SvaeSettings
    shard_spec: ClassVar[ShardSpec] = ShardSpec(order="time")
    similar_lengths: ClassVar[bool] = True

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
        # Codes that are nearly certain at first, so that noise does not hide them.
        nn.init.constant_(self.latent.bias[settings.latent :], -4.0)
        nn.init.normal_(self.output.weight, std=0.005)

    def set_column_counts(self, counts: Tensor) -> None:
        """Also starts the softmax from popularity; columns without entries start as if they had half of one."""
        super().set_column_counts(counts)
        with torch.no_grad():
            shares = counts.clamp_min(0.5) / counts.clamp_min(0.5).sum()
            self.output.bias.copy_(shares.log())

    def forward(self, batch: Batch, step: int) -> Loss:
        """Likelihood and annealed divergence over the positions of counting rows; noise in training mode only."""
        batch = last_entries(batch, self.settings.max_length)
        positions, targets = next_entries(batch, self.settings.next_items)
        if not positions.numel():
            return self._nothing()
        mean, log_variance = self._latent(self._states(batch)[positions])
        code = mean + torch.randn_like(mean) * (log_variance / 2).exp() if self.training else mean
        likelihood = multinomial_loss(self.decode(code), self.output_weight, self.output_bias, targets)
        divergence = (log_variance.exp() + mean.square() - 1 - log_variance).sum(dim=1) / 2 @ targets.weights
        total = likelihood + self._beta(step) * divergence
        parts = {"likelihood": likelihood.detach(), "divergence": divergence.detach()}
        return Loss(total, targets.weights.sum(), parts)

    def encode(self, batch: Batch) -> Tensor:
        """Means of the latent code after the last item, (n, latent); zeros for an empty history."""
        batch = last_entries(batch, self.settings.max_length)
        codes = self.latent.weight.new_zeros(len(batch), self.settings.latent)
        filled = batch.lengths() > 0
        if filled.any():
            last = batch.indptr[1:][filled] - 1
            codes[filled] = self._latent(self._states(batch)[last])[0]
        return codes

    def decode(self, code: Tensor) -> Tensor:
        """The layer before the softmax, (n, hidden)."""
        hidden: Tensor = self.decoder(code)
        return hidden

    def _states(self, batch: Batch) -> Tensor:
        """States of the GRU after each entry, (nnz, recurrent), in the order of the entries; nnz > 0."""
        places = (_places(batch), batch.entry_rows())
        shape = (int(batch.lengths().max()), len(batch), self.settings.embedding)
        # Padded behind the last entry, where it cannot reach an earlier state. A PackedSequence would skip the
        # padding, but its backward pass on CPUs clears the gradient of all steps at each step.
        padded = self.embedding.weight.new_zeros(shape).index_put(places, self.embedding(batch.indices))
        states, _ = self.gru(padded)
        return torch.as_tensor(states[places])

    def _latent(self, states: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.latent(self.encoder(states)).chunk(2, dim=1)
        return mean, log_variance

    def _beta(self, step: int) -> float:
        return self.settings.beta * min(1.0, (step + 1) / max(self.settings.anneal_steps, 1))

    def _nothing(self) -> Loss:
        """A loss of zero that still reaches every weight: processes that average gradients wait for all of them."""
        zero = sum((weight.sum() * 0 for weight in self.parameters()), self.output_bias.new_zeros(()))
        return Loss(zero, zero.detach(), {"likelihood": zero.detach(), "divergence": zero.detach()})


def last_entries(batch: Batch, n: int) -> Batch:
    """The batch with at most the last `n` entries of each row."""
    lengths = batch.lengths()
    if not (lengths > n).any():
        return batch
    kept = _places(batch) >= (lengths - n)[batch.entry_rows()]
    indptr = nn.functional.pad(lengths.clamp(max=n).cumsum(0), (1, 0))
    return Batch(batch.rows, indptr, batch.indices[kept], batch.values[kept], batch.weights, batch.n_columns)


def next_entries(batch: Batch, n: int) -> tuple[Tensor, Batch]:
    """Entries of counting rows that have a next one, (n_positions,), and what follows each.

    The batch has one row a position, which holds the up to `n` entries after it, each of value 1 / n.
    """
    entry_rows = batch.entry_rows()
    following = (batch.lengths()[entry_rows] - 1 - _places(batch)).clamp(max=n)
    positions = ((following > 0) & (batch.weights[entry_rows] > 0)).nonzero().squeeze(1)
    counts = following[positions]
    indptr = nn.functional.pad(counts.cumsum(0), (1, 0))
    # Number k of row p is the entry k + 1 after entry positions[p].
    starts = torch.repeat_interleave(positions + 1 - indptr[:-1], counts)
    indices = batch.indices[starts + torch.arange(starts.numel(), device=starts.device)]
    values = batch.values.new_full((indices.numel(),), 1 / n)
    rows = entry_rows[positions]
    return positions, Batch(batch.rows[rows], indptr, indices, values, batch.weights[rows], batch.n_columns)


def _places(batch: Batch) -> Tensor:
    """Place of each entry in its row, from 0, (nnz,)."""
    return torch.arange(batch.indices.numel(), device=batch.indices.device) - batch.indptr[batch.entry_rows()]

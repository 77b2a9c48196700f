"""Output layer and its loss, computed together in bounded memory for any number of columns.

The logits of 500 rows and 300,000 columns are 600 MB, and autograd would keep several arrays of that size. So a loss
is computed in blocks of rows. The logits of a block are overwritten with the derivative of the loss with respect to
them, and the block's share of the gradients is computed from it in the forward pass. The backward pass only scales the
gradients. Blocks hold rows rather than columns, because a softmax then needs one pass and the entries of a block are
contiguous. As a consequence, a loss can be differentiated once.

Every loss is a sum over the rows, each times batch.weights. Logits are hidden (n, h) @ weight.T (n_columns, h) + bias
(n_columns,), in the precision of the weights. Under autocast the factors of the products of likelihoods are rounded to
bfloat16; the losses stay float32, and so does all of the squared error. A batch must not hold an entry twice.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from recsys_spark.networks.batch import Batch
from recsys_spark.networks.products import OutputProducts, RoundedProducts, is_rounding, without_autocast

__all__ = ["bce_loss", "masked_squared_error", "multinomial_loss"]

# Floats of a block of logits: 128 MB. The losses create at most one temporary array of that size.
BLOCK_FLOATS = 2**25
# Below this share of entries, products of the entries alone are faster than all products (measured: 2 to 4 %).
GATHERED_DENSITY = 0.03
# Floats gathered at a time: blocks that fit into the cache are three times faster than all entries at once.
GATHERED_FLOATS = 2**20

Gradients = tuple[Tensor, Tensor, Tensor]
# Arguments: hidden, weight, bias, batch, and True if gradients are needed.
Computation = Callable[[Tensor, Tensor, Tensor, Batch, bool], tuple[Tensor, Gradients | None]]
# Returns the losses of the rows, (n,), and overwrites their logits with the derivative.
BlockLoss = Callable[[Tensor, Batch], Tensor]


def multinomial_loss(hidden: Tensor, weight: Tensor, bias: Tensor, batch: Batch) -> Tensor:
    """Return the negative log-likelihood of the entries under the softmax of each row.

    The loss of a row is - sum_j x_j log softmax(logits)_j.
    """
    return _loss(partial(_in_blocks, _multinomial, _likelihood_products(hidden)), hidden, weight, bias, batch)


def bce_loss(hidden: Tensor, weight: Tensor, bias: Tensor, batch: Batch) -> Tensor:
    """Return the binary cross-entropy summed over all columns.

    The loss of a row is sum_j softplus(l_j) - x_j l_j; the target x_j of a column without an entry is 0.
    """
    return _loss(partial(_in_blocks, _binary, _likelihood_products(hidden)), hidden, weight, bias, batch)


def masked_squared_error(hidden: Tensor, weight: Tensor, bias: Tensor, batch: Batch) -> Tensor:
    """Return the squared error of the entries: the sum of (l_j - x_j)^2 over the stored j.

    Stored zeros are included.
    """
    sparse = batch.indices.numel() < GATHERED_DENSITY * len(batch) * batch.n_columns
    return _loss(_gathered if sparse else partial(_in_blocks, _squared, OutputProducts), hidden, weight, bias, batch)


def _likelihood_products(hidden: Tensor) -> type[OutputProducts]:
    return RoundedProducts if is_rounding(hidden.device) else OutputProducts


class _LossWithGradients(torch.autograd.Function):
    """Loss whose gradients are computed in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, batch: Batch, compute: Computation, trains: bool
    ) -> Tensor:
        total, ctx.gradients = compute(hidden, weight, bias, batch, trains)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError("this loss was already differentiated: compute it again before a second backward pass")
        gradients, ctx.gradients = ctx.gradients, None
        return (*(gradient.mul_(grad_outputs[0]) for gradient in gradients), None, None, None)


def _loss(compute: Computation, hidden: Tensor, weight: Tensor, bias: Tensor, batch: Batch) -> Tensor:
    hidden = hidden.to(weight.dtype)
    trains = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (hidden, weight, bias))
    with without_autocast(hidden.device):
        total: Tensor = _LossWithGradients.apply(hidden, weight, bias, batch, compute, trains)  # type: ignore[no-untyped-call]
    return total


def _in_blocks(
    loss: BlockLoss,
    products_of: type[OutputProducts],
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    batch: Batch,
    trains: bool,
) -> tuple[Tensor, Gradients | None]:
    total, products = hidden.new_zeros(()), products_of(weight, bias)
    gradients = (torch.zeros_like(hidden), torch.zeros_like(weight), torch.zeros_like(bias)) if trains else None
    for rows, part in _blocks(batch):
        logits = products.logits(hidden[rows])
        row_weights = part.weights.to(logits.dtype)
        total += loss(logits, part) @ row_weights
        if gradients:
            # Weights go to the sides with h columns, which are narrower than the block.
            products.hidden_gradient(logits, out=gradients[0][rows]).mul_(row_weights[:, None])
            products.add_weight_gradient(gradients[1], logits, hidden[rows] * row_weights[:, None])
            gradients[2].addmv_(logits.T, row_weights)
    return total, gradients


def _blocks(batch: Batch) -> Iterator[tuple[slice, Batch]]:
    """Yield blocks of about equally many rows whose logits fit into BLOCK_FLOATS."""
    n_blocks = -(-len(batch) // max(1, BLOCK_FLOATS // batch.n_columns))
    if n_blocks == 1:
        yield slice(0, len(batch)), batch
        return
    size = -(-len(batch) // n_blocks)
    edges = [*range(0, len(batch), size), len(batch)]
    # Where the host has no copy, this waits for the device: one transfer for all blocks.
    entries = (batch.indptr if batch.host_indptr is None else batch.host_indptr)[edges].tolist()
    for first, last, begin, end in zip(edges, edges[1:], entries, entries[1:], strict=False):
        part = replace(
            batch,
            rows=batch.rows[first:last],
            indptr=batch.indptr[first : last + 1] - begin,
            host_indptr=None,
            indices=batch.indices[begin:end],
            values=batch.values[begin:end],
            weights=batch.weights[first:last],
        )
        yield slice(first, last), part


def _places(batch: Batch) -> Tensor:
    """Return the positions of the entries in the flattened logits, (nnz,)."""
    return batch.entry_rows() * batch.n_columns + batch.indices


def _multinomial(logits: Tensor, batch: Batch) -> Tensor:
    places, values = _places(batch), batch.values.to(logits.dtype)
    totals = batch.row_sums(values)
    fit = batch.row_sums(values * logits.view(-1)[places])
    peaks = logits.amax(1)
    sums = logits.sub_(peaks[:, None]).exp_().sum(1)
    logits.mul_((totals / sums)[:, None]).view(-1).index_add_(0, places, values, alpha=-1)
    return totals * (peaks + sums.log()) - fit


def _binary(logits: Tensor, batch: Batch) -> Tensor:
    places, values = _places(batch), batch.values.to(logits.dtype)
    fit = batch.row_sums(values * logits.view(-1)[places])
    # softplus(l) = max(l, 0) + log(1 + exp(-|l|)): plain log is several times faster than log1p, and its error,
    # 1e-7 per column, affects the reported loss only.
    losses = logits.clamp_min(0).sum(1) + logits.abs().neg_().exp_().add_(1).log_().sum(1) - fit
    logits.sigmoid_().view(-1).index_add_(0, places, values, alpha=-1)
    return losses


def _squared(logits: Tensor, batch: Batch) -> Tensor:
    places = _places(batch)
    errors = logits.view(-1)[places] - batch.values
    logits.zero_().view(-1).index_copy_(0, places, 2 * errors)
    return batch.row_sums(errors.square())


def _gathered(
    hidden: Tensor, weight: Tensor, bias: Tensor, batch: Batch, trains: bool
) -> tuple[Tensor, Gradients | None]:
    """Compute the squared error from the products of the stored pairs alone."""
    rows, columns = batch.entry_rows(), batch.indices
    step = max(1, GATHERED_FLOATS // hidden.shape[1])
    pairs = zip(torch.split(rows, step), torch.split(columns, step), strict=True)
    logits = torch.cat([(hidden[row] * weight[column]).sum(1) for row, column in pairs]) + bias[columns]
    errors = logits - batch.values
    row_weights = batch.weights.to(errors.dtype)[rows]
    total = errors.square() @ row_weights
    if not trains:
        return total, None
    derivative = 2 * errors * row_weights
    order = columns.argsort()
    # torch.bincount would wait for the device.
    entries = columns.new_zeros(batch.n_columns).scatter_add_(0, columns, torch.ones_like(columns))
    starts = functional.pad(entries.cumsum(0), (1, 0))
    return total, (
        _weighted_sums(weight, columns, batch.indptr, derivative),
        _weighted_sums(hidden, rows[order], starts, derivative[order]),
        torch.zeros_like(bias).index_add_(0, columns, derivative),
    )


def _weighted_sums(table: Tensor, picks: Tensor, indptr: Tensor, factors: Tensor) -> Tensor:
    """Return the weighted sum of the picked table rows of each group, (groups, h)."""
    return functional.embedding_bag(
        picks, table, indptr, mode="sum", per_sample_weights=factors, include_last_offset=True
    )

"""Logistic regression on arrays in one process, with the objective of MLlib."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

__all__ = ["LinearMap", "Matrix", "fit_logistic"]

Floats = NDArray[np.float64]
Matrix: TypeAlias = Floats | csr_matrix
# L-BFGS stops where a step improves the objective by less than this share, or the gradient is this small.
SMALLEST_GAIN = 1e-9
SMALLEST_GRADIENT = 1e-6


@dataclass(frozen=True)
class LinearMap:
    """The map x -> matrix @ x + bias; matrix is (classes, width), bias (classes,)."""

    matrix: Floats
    bias: Floats

    def __call__(self, x: Matrix) -> Floats:
        """Return the values for rows x, (n, classes)."""
        return np.asarray(x @ self.matrix.T) + self.bias

    def with_both_signs(self) -> "LinearMap":
        """Return the margins -x and x of a map to one margin x; others as they are."""
        if len(self.bias) > 1:
            return self
        return LinearMap(np.vstack([-self.matrix, self.matrix]), np.concatenate([-self.bias, self.bias]))

    def with_zero(self) -> "LinearMap":
        """Return the logits 0 and x of a map to one margin x; others as they are."""
        if len(self.bias) > 1:
            return self
        return LinearMap(np.vstack([np.zeros_like(self.matrix), self.matrix]), np.concatenate([[0.0], self.bias]))

    def after(self, first: "LinearMap") -> "LinearMap":
        """Return this map of the values of another one."""
        return LinearMap(self.matrix @ first.matrix, self.matrix @ first.bias + self.bias)


def fit_logistic(
    x: Matrix, labels: NDArray[np.intp], weights: Floats, n_classes: int, reg_param: float, max_iter: int
) -> LinearMap:
    """Return the logits of the regression; with two classes the first logit is zero.

    Minimises the weighted mean of the log loss plus reg_param / 2 times the squared coefficients, without the
    intercepts, by L-BFGS (Liu and Nocedal 1989). `x` is (n, width), `labels` and `weights` (n,).
    """
    width = x.shape[1]
    # With two classes one row of coefficients is enough, and halves the penalty, as in MLlib.
    rows = 1 if n_classes == 2 else n_classes
    share = weights / weights.sum()
    target = np.zeros((len(labels), n_classes))
    target[np.arange(len(labels)), labels] = 1

    def objective(parameters: Floats) -> tuple[float, Floats]:
        matrix, bias = parameters[: rows * width].reshape(rows, width), parameters[rows * width :]
        logits = _logits(np.asarray(x @ matrix.T) + bias, n_classes)
        logs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        loss = -share @ logs[np.arange(len(labels)), labels] + reg_param / 2 * np.square(matrix).sum()
        residual = ((np.exp(logs) - target) * share[:, None])[:, n_classes - rows :]
        slope = np.asarray(x.T @ residual).T + reg_param * matrix
        return float(loss), np.concatenate([slope.ravel(), residual.sum(axis=0)])

    start = np.zeros(rows * (width + 1))
    start[rows * width :] = _log_shares(target, share)[n_classes - rows :]
    options = {"maxiter": max_iter, "ftol": SMALLEST_GAIN, "gtol": SMALLEST_GRADIENT}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x
    matrix, bias = found[: rows * width].reshape(rows, width), found[rows * width :]
    if rows == 1:
        return LinearMap(matrix, bias).with_zero()
    # All intercepts may move together; their mean is zero, so that margins of several fits can be compared.
    return LinearMap(matrix, bias - bias.mean())


def _logits(values: Floats, n_classes: int) -> Floats:
    return values if values.shape[1] == n_classes else np.hstack([np.zeros_like(values), values])


def _log_shares(target: Floats, share: Floats) -> Floats:
    """Return the intercepts without features; with two classes relative to the first."""
    logs: Floats = np.log(np.maximum(share @ target, np.finfo(float).tiny))
    return logs - logs[0] if len(logs) == 2 else logs

"""Codes of the song autoencoder for new histories, in numpy: the import of torch takes seconds."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from recsys_spark.core.errors import MissingInputError
from recsys_spark.ranking.scorer import Histories, UserBlock

__all__ = ["AutoencoderCodes"]


@dataclass(frozen=True)
class AutoencoderCodes:
    """Codes of histories by a trained song autoencoder, as its forward pass computes them.

    `weight` has the rows of the first layer by item, for the items of the histories; `bias` (units,), `trained`
    (n_columns,) is True for items with training data.
    """

    weight: dict[int, NDArray[np.float32]]
    bias: NDArray[np.float32]
    trained: NDArray[np.bool_]
    activation: str
    normalise_input: bool

    @classmethod
    def open(cls, folder: Path, item_idx: NDArray[np.int32]) -> "AutoencoderCodes":
        """Read what the codes of these items need from the folder of a model.

        Raises MissingInputError if it holds no trained network.
        """
        try:
            settings = json.loads((folder / "network.json").read_text())["settings"]
            with safe_open(folder / "weights.safetensors", framework="numpy") as tensors:
                trained = tensors.get_tensor("column_counts") > 0
                rows = tensors.get_slice("first.weight")
                known = [int(item) for item in item_idx if item < trained.size]
                weight = {item: rows[item : item + 1][0] for item in known}
                bias = tensors.get_tensor("first.bias")
        except (OSError, ValueError) as error:
            raise MissingInputError(f"{folder} holds no trained network ({error})") from None
        return cls(weight, bias, trained, settings["activation"], settings["normalise_input"])

    def vectors(self, users: UserBlock) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Return the rows of users with a trained item in their history, and their codes."""
        histories = users.histories
        usable = histories.of_items(self.trained) & histories.are_given()
        entries = histories.only((histories.item_idx < self.trained.size) & histories.are_given())
        rows = np.flatnonzero(histories.lengths_of(usable))
        codes = (
            np.stack([self._code(entries, int(row)) for row in rows]) if rows.size else np.empty((0, self.bias.size))
        )
        return rows, codes.astype(np.float32)

    def _code(self, entries: Histories, row: int) -> NDArray[np.float32]:
        places = slice(entries.indptr[row], entries.indptr[row + 1])
        values = entries.confidence[places]
        if self.normalise_input:
            values = values / max(float(np.linalg.norm(values)), 1e-12)
        weights = np.stack([self.weight[int(item)] for item in entries.item_idx[places]])
        hidden = values @ weights + self.bias
        code: NDArray[np.float32] = np.maximum(hidden, 0) if self.activation == "relu" else np.tanh(hidden)
        return code

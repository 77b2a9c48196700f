"""One model on one protocol, with its published results and those to reach."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Entry", "Target"]


@dataclass(frozen=True)
class Target:
    """One metric of an entry, with its published value and the value to reach.

    `published` is None if no comparable value was published; `source` names the publication.
    """

    metric: str
    published: float | None
    source: str
    reach: float | None


@dataclass(frozen=True)
class Entry:
    """One model on one protocol, run with seeds or on folds 1 to `repeats`."""

    name: str
    data: str
    kind: str
    split: Mapping[str, str]
    targets: tuple[Target, ...]
    repeats: int
    settings: Mapping[str, str] = field(default_factory=dict)
    fit: Literal["train", "train_and_validation"] = "train"

    @property
    def protocol(self) -> str:
        """Return the name of the split's protocol."""
        return self.split["protocol"]

    def flags(self, repeat: int, folder: str) -> dict[str, str]:
        """Return the command-line flags of repeat 1, 2, ... on the data set in `folder`."""
        split = {f"split.{key}": value for key, value in self.split.items()}
        chosen = {f"models.{self.kind}.{key}": value for key, value in self.settings.items()}
        by_fold = self.protocol == "rating_folds"
        fold = {"split.fold": str(repeat), "split.folds_path": folder} if by_fold else {}
        return {"run.seed": "1" if by_fold else str(repeat), "model.kind": self.kind, **split, **fold, **chosen}

"""What profiles say of users, as vectors added to what a network learns of them by their history.

A feature, such as a country, has one vector, shared by all of its users, from which each of them starts (the user
attributes of Koren, Bell and Volinsky 2009, "additional input sources"). It helps with users of whom little else is
known; strangers have none, as their profiles were in no shard.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Network, NetworkSettings

__all__ = ["SideInformation", "SideSettings", "WithSideInformation"]


class SideSettings(NetworkSettings):
    """Settings of networks that take side information."""

    side_information: tuple[str, ...] = Field(
        default=(), description="What each user starts from: country, age_group, or keys of users.attributes."
    )


class SideInformation(nn.Module):
    """Sums of the vectors of a row's features. They start at zero, so that training starts as it would without."""

    def __init__(self, n_features: int, width: int) -> None:
        super().__init__()
        # Number 0, nothing known, stays at zero. Given, for drawn ones would be random numbers that other weights miss.
        zeros = torch.zeros(1 + n_features, width)
        self.vectors = nn.Embedding(1 + n_features, width, padding_idx=0, _weight=zeros)

    def forward(self, batch: Batch) -> Tensor:
        """(n, width); zero for rows of which nothing is known."""
        # Looked up even then: processes that exchange gradients want every weight in every step.
        codes = torch.zeros_like(batch.rows)[:, None] if batch.side is None else batch.side
        summed: Tensor = self.vectors(codes).sum(1)
        return summed


class WithSideInformation(Network):
    """A network whose rows are users and whose codes profiles may move, if `side_information` names anything."""

    settings: SideSettings
    side: SideInformation | None

    def make_side(self, width: int) -> None:
        """Makes what `with_side` adds, for codes of this width."""
        named = bool(self.settings.side_information)
        self.side = SideInformation(self.shape.side_features, width) if named else None

    def with_side(self, codes: Tensor, batch: Batch) -> Tensor:
        """`codes` (n, width), moved by what profiles say of the rows."""
        return codes if self.side is None else codes + self.side(batch)

"""Side information: vectors of profile features, added to the codes of users.

A feature, such as a country, has one vector shared by all users with this feature (the user attributes of Koren, Bell
and Volinsky 2009, "additional input sources"). It helps users with short histories. Users not seen in training get
no such vector, because the shards do not hold their profiles.
"""

import torch
from torch import Tensor, nn

from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Network
from recsys_spark.networks.settings.side_information import SideSettings

__all__ = ["SideInformation", "WithSideInformation"]


class SideInformation(nn.Module):
    """Sum of the vectors of a row's features; all vectors start at zero."""

    def __init__(self, n_features: int, width: int) -> None:
        super().__init__()
        # Number 0, a missing feature, stays at zero. The zeros are passed in because drawing random vectors would
        # change the random start of the other weights.
        zeros = torch.zeros(1 + n_features, width)
        self.vectors = nn.Embedding(1 + n_features, width, padding_idx=0, _weight=zeros)

    def forward(self, batch: Batch) -> Tensor:
        """Return the sums, (n, width); zero for rows without features."""
        # The lookup also runs without side information, because DDP requires every weight in every step.
        codes = torch.zeros_like(batch.rows)[:, None] if batch.side is None else batch.side
        summed: Tensor = self.vectors(codes).sum(1)
        return summed


class WithSideInformation(Network):
    """Network of user rows whose codes may include side information, if `side_information` names fields."""

    settings: SideSettings
    side: SideInformation | None

    def init_side_information(self, width: int) -> None:
        """Create the feature vectors for codes of this width, if the settings name fields."""
        named = bool(self.settings.side_information)
        self.side = SideInformation(self.shape.side_features, width) if named else None

    def add_side_information(self, codes: Tensor, batch: Batch) -> Tensor:
        """Return `codes` (n, width) plus the side information of the rows."""
        return codes if self.side is None else codes + self.side(batch)

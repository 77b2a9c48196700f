"""Recommendations for a list of titles, as a notebook gets them."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

__all__ = ["TitleList", "several"]


@dataclass(frozen=True)
class TitleList:
    """Recommendations for a list of titles.

    `items` has the columns position, item, score, best first. `source` says where they come from: the model (for a new
    listener of these titles), nearest (the items nearest to them), or popular. `not_found` has the titles that name no
    item.
    """

    items: pd.DataFrame
    source: str
    not_found: tuple[str, ...]
    model_version: str

    def _repr_html_(self) -> str:
        """Show the items as a notebook shows a DataFrame."""
        return str(self.items.to_html(index=False))


def several(titles: Sequence[str]) -> Sequence[str]:
    """Return the titles; one text is one title, not a list of letters."""
    return [titles] if isinstance(titles, str) else list(titles)

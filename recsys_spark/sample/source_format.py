"""Description of a generated format: files, columns and breakages."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from recsys_spark.config.sample import SamplePlan
from recsys_spark.sample.dirt import Breakage, Fields

__all__ = ["PlayRows", "SideFile", "SourceFormat"]


@dataclass(frozen=True)
class PlayRows:
    """Valid rows of one block as columns of text; `pairs` counts the pairs in both."""

    clean: Fields
    late: Fields
    pairs: int


@dataclass(frozen=True)
class SideFile:
    """File of users or items; `lines` yields chunks."""

    header: str
    lines: Callable[[SamplePlan], Iterable[pa.Array]]


@dataclass(frozen=True)
class SourceFormat:
    """Generated format; there is one instance a format.

    Plays are in `folder`, a file a block named by `part`; an empty header means none. An exact copy of a row is valid
    if `copies_are_valid` (totals and ratings), else a duplicate (events).
    """

    folder: str
    part: str
    header: str
    separator: str
    copies_are_valid: bool
    breakages: Mapping[str, Breakage]
    draw_plays: Callable[[SamplePlan, int], PlayRows]
    side_files: Mapping[str, SideFile]
    user_ids: Callable[[SamplePlan, int], pa.Array]
    item_ids: Callable[[SamplePlan], pa.Array]

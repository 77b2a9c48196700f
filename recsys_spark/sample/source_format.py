"""What a generated format is: its files, its columns, its ways of being broken. One instance a format."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from recsys_spark.config.sample import SamplePlan
from recsys_spark.sample.dirt import Breakage, Fields

__all__ = ["PlayRows", "SideFile", "SourceFormat"]


@dataclass(frozen=True)
class PlayRows:
    """Valid rows of one block as columns of text: the clean ones, the late ones, the pairs in both."""

    clean: Fields
    late: Fields
    pairs: int


@dataclass(frozen=True)
class SideFile:
    """A file beside the plays (users or items); its lines come in chunks."""

    header: str
    lines: Callable[[SamplePlan], Iterable[pa.Array]]


@dataclass(frozen=True)
class SourceFormat:
    """Plays lie in `folder`, a file a block named by `part`; an empty header means none.

    `copies_count` tells whether an exact copy of a row is a duplicate (False: an event can happen once)
    or a valid statement of the same fact (True: totals and ratings).
    """

    folder: str
    part: str
    header: str
    separator: str
    copies_count: bool
    breakages: Mapping[str, Breakage]
    draw_plays: Callable[[SamplePlan, int], PlayRows]
    side_files: Mapping[str, SideFile]
    user_ids: Callable[[SamplePlan, int], pa.Array]
    item_ids: Callable[[SamplePlan], pa.Array]

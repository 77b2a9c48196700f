"""Dirt for testing ingestion: rows that are invalid, repeated, or late.

Each kind is counted exactly. Half of the dirty rows are broken (invalid), three tenths are copies of clean rows, two
tenths are late. Broken rows and half of the copies are scattered over the block's file. Late rows and the other copies
make a second file of the same block, which may be delivered later.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from recsys_spark.config.sample import SamplePlan
from recsys_spark.sample.lines import join_fields
from recsys_spark.sample.randomness import stream

__all__ = [
    "Breakage",
    "Dirt",
    "Fields",
    "add_field",
    "break_rows",
    "drop_field",
    "plan_dirt",
    "replace_field",
    "scatter",
]

Fields = list[pa.Array]
Breakage = Callable[[Fields], Fields]


@dataclass(frozen=True)
class Dirt:
    """Numbers of dirty rows in one block of users."""

    broken: int
    copied: int
    redelivered: int
    late: int


def plan_dirt(plan: SamplePlan, block: int) -> Dirt:
    """Return the number of dirty rows of each kind in the block.

    `redelivered` counts the copies in its late file.
    """
    dirty = round(plan.rows * plan.dirt_share)
    broken, copies = dirty // 2, dirty * 3 // 10
    return Dirt(
        broken=plan.share_of(broken, block),
        copied=plan.share_of(copies - copies // 2, block),
        redelivered=plan.share_of(copies // 2, block),
        late=plan.share_of(dirty - broken - copies, block),
    )


def replace_field(column: int, text: str) -> Breakage:
    """Return a breakage that replaces a field by an invalid text."""

    def breakage(fields: Fields) -> Fields:
        bad = pa.array([text] * len(fields[0]), pa.string())
        return [*fields[:column], bad, *fields[column + 1 :]]

    return breakage


def drop_field(fields: Fields) -> Fields:
    """Drop the last field."""
    return fields[:-1]


def add_field(fields: Fields) -> Fields:
    """Add a surplus field."""
    return [*fields, pa.array(["surplus"] * len(fields[0]), pa.string())]


def break_rows(
    plan: SamplePlan, block: int, clean: Fields, breakages: Mapping[str, Breakage], separator: str
) -> tuple[pa.Array, dict[str, int]]:
    """Return broken lines made from random clean rows, and their number for each reason."""
    rng = stream(plan.seed, "broken", block)
    total = plan_dirt(plan, block).broken
    reasons = rng.integers(0, len(breakages), total)
    sources = rng.integers(0, len(clean[0]), total)
    lines, counts = [pa.array([], pa.string())], {}
    for number, (reason, breakage) in enumerate(breakages.items()):
        chosen = pa.array(sources[reasons == number])
        counts[reason] = len(chosen)
        lines.append(join_fields(breakage([field.take(chosen) for field in clean]), separator))
    return pa.concat_arrays(lines), counts


def scatter(rng: np.random.Generator, lines: pa.Array, dirty: pa.Array) -> pa.Array:
    """Return the lines in order with the dirty ones inserted at random places."""
    if len(dirty) == 0:
        return lines
    places = np.r_[np.arange(len(lines)), rng.uniform(0, len(lines), len(dirty))]
    return pa.concat_arrays([lines, dirty]).take(pa.array(np.argsort(places, kind="stable")))

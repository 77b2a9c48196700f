"""Independent pieces of a sample: the plays of one block of users, or the small files.

Each piece depends on the plan alone and writes its own files atomically. It may be repeated, or run twice at once,
and writes the same bytes.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recsys_spark.config.sample import SampleFormat, SamplePlan
from recsys_spark.core.atomic_files import atomic_write
from recsys_spark.sample.anime_ratings import ANIME
from recsys_spark.sample.catalogue import build_catalogue
from recsys_spark.sample.dirt import break_rows, plan_dirt, scatter
from recsys_spark.sample.karaoke import KARAOKE
from recsys_spark.sample.lastfm import LASTFM_360K
from recsys_spark.sample.lines import join_fields, write_lines
from recsys_spark.sample.randomness import stream
from recsys_spark.sample.source_format import SourceFormat
from recsys_spark.sample.tastes import draw_tastes, female_probability

__all__ = ["FORMATS", "folders", "pieces", "write_piece"]

FORMATS: dict[SampleFormat, SourceFormat] = {
    "sample": KARAOKE,
    "lastfm_360k": LASTFM_360K,
    "anime": ANIME,
}


def folders(plan: SamplePlan) -> list[str]:
    """Return the folders that must exist before any piece is written."""
    return [FORMATS[plan.format].folder, "truth/users"]


def pieces(plan: SamplePlan) -> int:
    """Return the number of pieces: one for each block of users, and one for all other files."""
    return plan.files + 1


def write_piece(plan: SamplePlan, piece: int, root: Path) -> Counter[str]:
    """Write one piece below `root` and return its counts of rows by kind."""
    if piece == plan.files:
        _write_side_files(plan, root)
        return Counter()
    counts = _write_plays(plan, piece, root)
    _write_user_truth(plan, piece, root)
    return counts


def _write_plays(plan: SamplePlan, block: int, root: Path) -> Counter[str]:
    """Write the block's file of plays, and its file of late plays if any."""
    source, dirt = FORMATS[plan.format], plan_dirt(plan, block)
    rows = source.draw_plays(plan, block)
    rng = stream(plan.seed, "dirt", block)
    clean = join_fields(rows.clean, source.separator)
    broken, reasons = break_rows(plan, block, rows.clean, source.breakages, source.separator)
    copied = clean.take(pa.array(rng.integers(0, len(clean), dirt.copied)))
    folder = root / source.folder
    lines = scatter(rng, clean, pa.concat_arrays([broken, copied]))
    write_lines(folder / source.part.format(f"{block:05d}"), source.header, [lines])
    if dirt.late or dirt.redelivered:
        redelivered = clean.take(pa.array(rng.integers(0, len(clean), dirt.redelivered)))
        late = scatter(rng, join_fields(rows.late, source.separator), redelivered)
        write_lines(folder / source.part.format(f"late-{block:05d}"), source.header, [late])
    counts = {
        "rows": len(clean),
        "broken": len(broken),
        "duplicated": dirt.copied + dirt.redelivered,
        "late": dirt.late,
        "pairs": rows.pairs,
    }
    return Counter(counts | {f"broken.{reason}": count for reason, count in reasons.items()})


def _write_side_files(plan: SamplePlan, root: Path) -> None:
    """Write users, items and the truth about items.

    Lines are written in chunks whose size is independent of the number of users.
    """
    source, catalogue = FORMATS[plan.format], build_catalogue(plan)
    for name, side_file in source.side_files.items():
        write_lines(root / name, side_file.header, side_file.lines(plan))
    truth = {
        "item_id": source.item_ids(plan),
        "taste_group": catalogue.groups,
        "popularity": catalogue.popularity,
    }
    _write_table(root / "truth/items.parquet", truth)


def _write_user_truth(plan: SamplePlan, block: int, root: Path) -> None:
    """Write the truth about the block's users: genders and tastes."""
    tastes = draw_tastes(plan, block)
    truth = {
        "user_id": FORMATS[plan.format].user_ids(plan, block),
        "gender": tastes.genders.tolist(),
        "gender_stated": tastes.stated,
        "female_probability": female_probability(tastes.groups),
        "taste_groups": tastes.groups.tolist(),
        "taste_shares": tastes.shares.tolist(),
        "background_share": tastes.background,
    }
    _write_table(root / f"truth/users/part-{block:05d}.parquet", truth)


def _write_table(path: Path, columns: dict[str, Any]) -> None:
    with atomic_write(path) as draft:
        pq.write_table(pa.table(columns), draft)

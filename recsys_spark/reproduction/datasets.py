"""Public data sets: recognised by their files, with the settings that ingest them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recsys_spark.core.errors import MissingInputError

__all__ = ["DataSet", "find_datasets"]

Flags = dict[str, str]


@dataclass(frozen=True)
class DataSet:
    """Data set in a folder, with its ingestion settings and published number of pairs."""

    name: str
    folder: Path
    source: Flags
    pairs: int


def _ratings(path: Path, user: str, item: str) -> Flags:
    """Return settings for a CSV of ratings with times, some of which may be blank."""
    columns = {"user_id": user, "item_id": item, "rating": "rating", "played_at": "timestamp"}
    named = {f"source.columns.{field}": column for field, column in columns.items()}
    return {"source.format": "plays", "source.kind": "ratings", "source.path": str(path), **named}


def _datasets_in(folder: Path) -> list[DataSet]:
    found = []
    if (folder / "u.data").is_file():
        found.append(DataSet("ml-100k", folder, {"source.format": "movielens", "source.path": str(folder)}, 100_000))
    partial_times = folder / "ratings_partial_timestamps.csv.gz"
    # MovieLens 10M has a ratings.dat as well, but no users.dat.
    if (folder / "users.dat").is_file() and (folder / "ratings.dat").is_file():
        found.append(DataSet("ml-1m", folder, {"source.format": "movielens", "source.path": str(folder)}, 1_000_209))
    elif partial_times.is_file():
        found.append(DataSet("ml-1m", folder, _ratings(partial_times, "user_id", "movie_id"), 1_000_209))
    if (folder / "genome-scores.csv").is_file() and (folder / "ratings.csv").is_file():
        found.append(DataSet("ml-20m", folder, _ratings(folder / "ratings.csv", "userId", "movieId"), 20_000_263))
    for name in ("lastfm.csv", "lastfm.csv.gz"):
        if (folder / name).is_file():
            source = {"source.format": "lastfm_gender", "source.path": str(folder / name)}
            found.append(DataSet("lastfm-gender", folder, source, 289_955))
    return found


def find_datasets(paths: Sequence[str]) -> dict[str, DataSet]:
    """Return name -> data set, found in these folders and their subfolders.

    Data sets are MovieLens 100K, 1M and 20M, and Last.fm with genders; the first of each name is taken. Raises
    MissingInputError if there is none.
    """
    found: dict[str, DataSet] = {}
    for path in map(Path, paths):
        inside = sorted(entry for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []
        for folder in (path, *inside):
            for dataset in _datasets_in(folder):
                found.setdefault(dataset.name, dataset)
    if not found:
        raise MissingInputError(
            f"no public data set found in {', '.join(paths) or 'reproduce.data'}: name folders that hold u.data "
            "(MovieLens 100K), ratings.dat and users.dat (1M), ratings.csv and genome-scores.csv (20M), or lastfm.csv"
        )
    return found

"""Data of the GPU check: generated plays or MovieLens-1M, as shard folders without a Spark session."""

import gzip
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from recsys_spark.core.csr import Csr
from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.preparation.shards import write_shard_file
from recsys_spark.storage.shard_format import Manifest, ShardFile

__all__ = ["Plays", "ShardFolders", "generate_plays", "read_movielens", "write_folders"]

TASTES = 8
# Share of a user's plays within the items of the own taste, and the power of the fall of popularity.
LOYALTY, POWER = 0.6, 0.8
HELD_SHARE = 0.2
SEED = 7


@dataclass(frozen=True)
class Plays:
    """Pairs of users and items with ratings, in the order of a user's items."""

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    ratings: NDArray[np.float32]
    n_users: int
    n_items: int

    def take(self, chosen: NDArray[np.bool_]) -> "Plays":
        """Return some of the pairs, of the same users and items."""
        return replace(self, users=self.users[chosen], items=self.items[chosen], ratings=self.ratings[chosen])

    def rows(self, spec: ShardSpec) -> Csr:
        """Return the pairs as rows of users, or of items."""
        rows, columns, n_rows = self.users, self.items, self.n_users
        if spec.rows == "items":
            rows, columns, n_rows = self.items, self.users, self.n_items
        order = np.argsort(rows, kind="stable")
        values = self.ratings if spec.values == "rating" else np.ones_like(self.ratings)
        lengths = np.bincount(rows, minlength=n_rows)
        return Csr.from_lengths(lengths, columns[order].astype(np.int32), values[order])


class ShardFolders(NamedTuple):
    """Folders of training and validation shards, the latter None without validation data."""

    train: Path
    validation: Path | None


def generate_plays(n_users: int, n_items: int, mean: int, seed: int = SEED) -> Plays:
    """Generate about `mean` items a user, and ratings; users have a taste, and items a popularity."""
    generator = np.random.default_rng(seed)
    lengths = np.clip(generator.lognormal(np.log(mean), 0.8, n_users), 5, n_items // 3).astype(np.int64)
    users = np.repeat(np.arange(n_users), lengths)
    chances = np.cumsum((np.arange(n_items) + 1.0) ** -POWER)
    items = np.searchsorted(chances / chances[-1], generator.random(users.size)).clip(max=n_items - 1)
    loyal = generator.random(users.size) < LOYALTY
    items = np.where(loyal, np.minimum(items - items % TASTES + users % TASTES, n_items - 1), items)
    users, items = np.divmod(np.unique(users * n_items + items), n_items)
    liked = items % TASTES == users % TASTES
    ratings = np.clip(np.rint(generator.normal(3.0 + 1.2 * liked, 0.8)), 1, 5).astype(np.float32)
    return Plays(users, items, ratings, n_users, n_items)


def read_movielens(file: Path, n_users: int) -> Plays:
    """Read the first users of a ratings.dat of MovieLens-1M, in the order of time."""
    content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    text = io.BytesIO(content.replace(b"::", b","))
    frame = pd.read_csv(text, names=["user", "item", "rating", "time"], header=None)
    frame = frame[frame["user"] <= n_users].sort_values(["user", "time"], kind="stable")
    users, _ = pd.factorize(frame["user"])
    items, names = pd.factorize(frame["item"])
    return Plays(users, items, frame["rating"].to_numpy(np.float32), int(users.max()) + 1, len(names))


def write_folders(plays: Plays, spec: ShardSpec, root: Path, n_files: int = 4, validation: bool = True) -> ShardFolders:
    """Write the shards of a kind of rows below `root`; a share of the pairs is held out for validation."""
    held = np.random.default_rng(SEED).random(plays.users.size) < (HELD_SHARE if validation else 0)
    train, hidden = plays.take(~held).rows(spec), plays.take(held).rows(spec)
    n_columns = plays.n_items if spec.rows == "users" else plays.n_users
    folders = ShardFolders(root / "train", root / "validation" if validation else None)
    _write(folders.train, train, None, n_columns, spec, n_files)
    if folders.validation is not None:
        _write(folders.validation, train, hidden, n_columns, spec, n_files)
    return folders


def _write(folder: Path, rows: Csr, held: Csr | None, n_columns: int, spec: ShardSpec, n_files: int) -> None:
    folder.mkdir(parents=True)
    places = np.random.default_rng(SEED).permutation(len(rows))
    places[rows.lengths() == 0] = -1
    files = []
    for number in range(n_files):
        inside = np.flatnonzero((places >= 0) & (places % n_files == number))
        columns = {
            "file": pa.array(np.full(inside.size, number, np.int32)),
            "row_idx": pa.array(inside.astype(np.int32)),
            "place": pa.array(places[inside]),
            **_lists(rows.take(inside), ""),
            **({} if held is None else _lists(held.take(inside), "held_")),
        }
        (written,) = write_shard_file(folder, pa.table(columns)).to_pylist()
        files.append(ShardFile(f"part-{written.pop('file'):05d}.parquet", **written))
    Manifest(spec, len(rows), n_columns, SEED, {"made": "for the GPU check"}, tuple(files)).write(folder)


def _lists(rows: Csr, prefix: str) -> dict[str, pa.Array]:
    offsets = pa.array(rows.indptr.astype(np.int32))
    return {
        f"{prefix}{name}": pa.ListArray.from_arrays(offsets, pa.array(getattr(rows, name)))
        for name in ("indices", "values")
    }

"""Shard loader: rows read equal rows written, and damaged folders are refused."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import petastorm
import pytest
import torch

from recsys_spark.core.errors import MissingInputError, TrainingError
from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.networks.network import Shape
from recsys_spark.storage.shard_format import BLOCK_ROWS, Manifest, ShardFile
from recsys_spark.training import epoch_schedule, shard_loader
from recsys_spark.training.epoch_schedule import Epoch
from recsys_spark.training.ranks import Ranks
from recsys_spark.training.shard_loader import Counts, Rows, check_counts, read_file
from recsys_spark.training.trainer import train
from recsys_spark.training.training_data import open_training_data
from tests.training.runs import make_spec
from tests.training.shard_folders import Entries, as_entries, held_entries, planted_tastes, write_folder

ALONE = Ranks(0, 1, torch.device("cpu"))
TINY = {"units": 2, "epochs": 1}

# A row of number 0, one without entries, unsorted entries, and values exact in float32.
ROWS = {
    0: {3: 1.0},
    7: {},
    2: {5: 0.5, 1: 2.0, 4: 0.0},
    2**31 - 1: {0: -1.5},
    256: {column: 1.0 for column in range(6)},
}
HELD = {0: {}, 7: {5: 1.0, 0: 4.0}, 2: {0: 3.0}, 2**31 - 1: {}, 256: {}}
SHAPE = (2**31 - 1, 6)


def read_folder(folder: Path) -> Rows:
    manifest, counts = Manifest.read(folder), Counts()
    rows = Rows.concat([read_file(folder, file) for file in manifest.files])
    counts.add(rows)
    check_counts(counts.as_array(), manifest, folder)
    return rows


def many_rows(n_rows: int) -> dict[int, dict[int, float]]:
    generator = np.random.default_rng(2)
    lengths = generator.integers(0, 4, n_rows).tolist()
    return {row: dict.fromkeys(generator.permutation(9)[:length].tolist(), 1.0) for row, length in enumerate(lengths)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write complete shards of three files below the root of a run."""
    tastes = planted_tastes(n_rows=12)
    make_spec(tmp_path, "song_autoencoder", tastes, TINY)
    return tmp_path / "train"


def open_run(root: Path) -> None:
    open_training_data(make_spec(root, "song_autoencoder", planted_tastes(n_rows=12), TINY), ALONE)


@pytest.mark.parametrize("n_files", [1, 2, 5])
@pytest.mark.parametrize("held", [None, HELD], ids=["alone", "with held-out entries"])
def test_rows_read_equal_rows_written(n_files: int, held: Entries | None, tmp_path: Path) -> None:
    write_folder(tmp_path / "shards", ROWS, SHAPE, held, n_files)
    rows = read_folder(tmp_path / "shards")
    assert as_entries(rows) == ROWS
    assert {row: list(entries) for row, entries in as_entries(rows).items()} == {r: list(e) for r, e in ROWS.items()}
    assert (rows.held is None) if held is None else (held_entries(rows) == held)


@pytest.mark.parametrize("n_rows", [1, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1, 2 * BLOCK_ROWS + 5])
def test_files_of_any_number_of_blocks_are_read_completely(n_rows: int, tmp_path: Path) -> None:
    rows = many_rows(n_rows)
    write_folder(tmp_path / "shards", rows, (n_rows, 9), n_files=1)
    assert as_entries(read_folder(tmp_path / "shards")) == rows


def test_folders_without_any_entry_are_read(tmp_path: Path) -> None:
    rows: Entries = {row: {} for row in range(5)}
    write_folder(tmp_path / "shards", rows, (5, 3))
    assert as_entries(read_folder(tmp_path / "shards")) == rows


@pytest.mark.parametrize("name", ["with a space", "über", "50%20off", "a+b&c", "*", "a#b?c", "[x] {y}", "a;b"])
def test_names_of_folders_may_hold_any_letter(name: str, tmp_path: Path) -> None:
    write_folder(tmp_path / name / "shards", ROWS, SHAPE)
    assert as_entries(read_folder(tmp_path / name / "shards")) == ROWS


def test_relative_folders_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(Path("shards"), ROWS, SHAPE)
    assert as_entries(read_folder(Path("shards"))) == ROWS


def test_no_row_is_lost_in_200_readings_of_a_tiny_folder(tmp_path: Path) -> None:
    """The thread pool of Petastorm sometimes loses row groups of a few rows."""
    manifest = write_folder(tmp_path / "shards", ROWS, SHAPE, n_files=2)
    for _ in range(200):
        read = [read_file(tmp_path / "shards", file) for file in manifest.files]
        assert sorted(number for rows in read for number in rows.numbers.tolist()) == sorted(ROWS)


def test_readers_write_nothing_to_stdout(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path / "shards", ROWS, SHAPE)
    read_folder(tmp_path / "shards")
    assert capfd.readouterr().out == ""


class LossyReader:
    """Reader that loses the last block of every row group."""

    def __init__(self, reader: Any) -> None:
        self.reader = reader

    def __enter__(self) -> "LossyReader":
        self.reader.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.reader.__exit__(*error)

    def __iter__(self) -> Iterator[Any]:
        for group in self.reader:
            yield group._replace(rows=group.rows[:-1])


def test_a_reader_that_loses_blocks_stops_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = petastorm.make_batch_reader
    monkeypatch.setattr(
        shard_loader, "make_batch_reader", lambda *args, **options: LossyReader(whole(*args, **options))
    )
    with pytest.raises(TrainingError, match=r"train holds 12 rows, 72 entries .* but the loader read 0, 0 and 0"):
        open_run(folder.parent)


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_rows_lost_in_any_pass_stop_training(lost: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The passes are statistics of the training shards, an epoch, and validation."""
    passes, batches = 0, Epoch.batches

    def counted(*args: Any, **options: Any) -> Iterator[Rows]:
        nonlocal passes
        passes += 1
        return batches(*args, **options)

    def lossy(folder: Path, file: ShardFile) -> Rows:
        rows = read_file(folder, file)
        return rows.between(1, len(rows)) if passes == lost else rows

    monkeypatch.setattr(Epoch, "batches", counted)
    monkeypatch.setattr(epoch_schedule, "read_file", lossy)
    spec = make_spec(folder.parent, "song_autoencoder", planted_tastes(n_rows=12), TINY)
    expected = folder.with_name("validation" if lost == 3 else "train")
    with pytest.raises(TrainingError, match=rf"{expected} holds 12 rows.*rows were lost or read twice"):
        train(spec.as_dict())
    assert not (Path(spec.folder) / "network.json").exists()


def test_rows_read_twice_are_noticed(folder: Path) -> None:
    manifest, counts = Manifest.read(folder), Counts()
    for file in (*manifest.files, manifest.files[0]):
        counts.add(read_file(folder, file))
    with pytest.raises(TrainingError, match="lost or read twice"):
        check_counts(counts.as_array(), manifest, folder)


@pytest.mark.parametrize("side", ["train", "validation"])
@pytest.mark.parametrize("damage", ["deleted", "truncated", "flipped", "swapped"])
def test_damaged_shards_are_refused(damage: str, side: str, folder: Path, tmp_path: Path) -> None:
    folder = folder.with_name(side)
    shard = folder / Manifest.read(folder).files[1].name
    content = bytearray(shard.read_bytes())
    if damage == "deleted":
        shard.unlink()
    elif damage == "truncated":
        shard.write_bytes(content[:-1])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        shard.write_bytes(content)
    else:
        tastes = planted_tastes(n_rows=12, n_columns=20)
        write_folder(tmp_path / "other", tastes.rows, tastes.shape, tastes.held if side == "validation" else None)
        shutil.copy(tmp_path / "other" / shard.name, shard)
    with pytest.raises(TrainingError, match=rf"{shard} .*run write_shards again"):
        open_run(tmp_path)


def test_a_file_missing_from_the_manifest_is_refused(folder: Path) -> None:
    shutil.copy(folder / "part-00000.parquet", folder / "part-00007.parquet")
    with pytest.raises(TrainingError, match=r"part-00007\.parquet does not belong there"):
        open_run(folder.parent)


def test_a_folder_without_a_manifest_is_incomplete(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(MissingInputError, match="holds no complete shards: run write_shards"):
        open_run(folder.parent)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", '{"format": 1}', '{"format": 1, "recipe": 4, "files": []}', "\0"]
)
def test_a_damaged_manifest_is_refused(content: str, folder: Path) -> None:
    (folder / "manifest.json").write_text(content)
    with pytest.raises(MissingInputError, match=r"manifest\.json is damaged: delete the folder"):
        open_run(folder.parent)


def test_a_manifest_of_another_version_is_refused(folder: Path) -> None:
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(MissingInputError, match="written by another version"):
        open_run(folder.parent)


def test_shards_without_rows_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    Manifest(ShardSpec(), 0, 0, 1, {}, ()).write(tmp_path / "train")
    with pytest.raises(TrainingError, match="the shards are empty, so there is no training data"):
        open_run(tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    manifest = write_folder(tmp_path / "shards", ROWS, SHAPE, n_files=1)
    (tmp_path / "shards" / manifest.files[0].name).write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(TrainingError, match=r"part-00000\.parquet cannot be read .*run write_shards again"):
        read_file(tmp_path / "shards", manifest.files[0])


def test_equal_rows_give_equal_checksums_in_any_order_of_input(tmp_path: Path) -> None:
    rows = many_rows(40)
    backwards = dict(reversed(rows.items()))
    first, again, other = (
        write_folder(tmp_path / name, given, (40, 9), seed=seed)
        for name, given, seed in (("a", rows, 1), ("b", backwards, 1), ("c", rows, 2))
    )
    assert first == again
    assert first.digest == again.digest != other.digest
    assert {file.payload for file in first.files}.isdisjoint(file.payload for file in other.files)


@pytest.mark.parametrize("change", ["column", "value", "row", "order"])
def test_checksums_see_every_change_of_the_rows(change: str, tmp_path: Path) -> None:
    changed = {row: dict(entries) for row, entries in ROWS.items()}
    if change == "column":
        changed[0] = {4: 1.0}
    elif change == "value":
        changed[0] = {3: 1.25}
    elif change == "row":
        changed[1] = changed.pop(0)
    else:
        changed[2] = dict(reversed(changed[2].items()))
    first, other = (
        write_folder(tmp_path / name, rows, SHAPE, n_files=1) for name, rows in (("a", ROWS), ("b", changed))
    )
    assert first.files[0].payload != other.files[0].payload


def test_statistics_are_those_of_the_training_values(tmp_path: Path) -> None:
    tastes = planted_tastes(n_rows=11, ratings=True)
    data = open_training_data(make_spec(tmp_path, "autorec_user", tastes, TINY), ALONE)
    columns = [column for entries in tastes.rows.values() for column in entries]
    assert data.statistics.column_counts.tolist() == np.bincount(columns, minlength=tastes.shape[1]).tolist()
    assert (data.statistics.lowest, data.statistics.highest, data.statistics.midpoint) == (1, 5, 3)
    assert data.shape == Shape(*tastes.shape)


def test_held_out_parts_travel_with_their_rows_through_shuffled_batches(tmp_path: Path) -> None:
    tastes = planted_tastes(n_rows=30)
    manifest = write_folder(tmp_path / "shards", tastes.rows, tastes.shape, tastes.held)
    batches = list(Epoch(tmp_path / "shards", manifest, 7, 1, shuffle_seed=4).batches(0, Counts()))
    rows = Rows.concat(batches)
    assert rows.numbers.tolist() != sorted(rows.numbers.tolist())
    assert (as_entries(rows), held_entries(rows)) == (tastes.rows, tastes.held)

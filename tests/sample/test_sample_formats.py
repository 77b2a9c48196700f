"""Generated formats against independent readers in plain Python: counts, columns, uniqueness."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from recsys_spark.config.sample import SampleSettings
from recsys_spark.sample.generator import generate

SIZES: dict[str, dict[str, int]] = {
    "sample": {"users": 300, "items": 400, "rows": 9_000, "users_per_file": 120},
    "lastfm_360k": {"users": 250, "items": 2_000, "rows": 11_000, "users_per_file": 100},
    "anime": {"users": 200, "items": 700, "rows": 15_000, "users_per_file": 90},
}
PARTS = {
    "sample": "plays/part-*.csv",
    "lastfm_360k": "usersha1-artmbid-artname-plays.tsv/usersha1-artmbid-artname-plays-*.tsv",
    "anime": "rating.csv/part-*.csv",
}
HEADERS = {"sample": ["user_id", "item_id", "played_at"], "anime": ["user_id", "anime_id", "rating"]}
WINDOW_END = datetime(2025, 7, 1, tzinfo=UTC)

Fields = list[str]


@pytest.fixture(scope="module")
def folders(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Generate a dirty sample of each format."""
    root = tmp_path_factory.mktemp("formats")
    for name, sizes in SIZES.items():
        settings = SampleSettings.model_validate({"format": name, "dirt_share": 0.2, **sizes})
        generate(spark, settings, 7, root / name)
    return {name: root / name for name in SIZES}


def read_truth(folder: Path) -> dict[str, Any]:
    truth: dict[str, Any] = json.loads((folder / "truth/truth.json").read_text())
    return truth


def read_rows(folder: Path, late: bool | None = None) -> Iterator[Fields]:
    """Yield the rows of all files of plays, without headers."""
    name = folder.name
    for path in sorted(folder.glob(PARTS[name])):
        if late is not None and ("late" in path.name) != late:
            continue
        lines = path.read_text(encoding="utf-8").split("\n")
        assert lines.pop() == ""
        if name == "lastfm_360k":
            yield from (line.split("\t") for line in lines)
        else:
            header, *rows = csv.reader(lines)
            assert header == HEADERS[name]
            yield from rows


def fault_in_play(fields: Fields) -> str | None:
    if len(fields) != 3:
        return "too_few_columns" if len(fields) < 3 else "too_many_columns"
    if not fields[0] or not fields[1]:
        return "empty_item_id" if fields[0] else "empty_user_id"
    try:
        datetime.strptime(fields[2], "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return "time_impossible" if fields[2][0].isdigit() else "time_not_a_time"
    return None


def fault_in_total(fields: Fields) -> str | None:
    if len(fields) != 4:
        return "too_few_columns" if len(fields) < 4 else "too_many_columns"
    if not fields[0]:
        return "empty_user_id"
    if not fields[1] and not fields[2]:
        return "no_artist"
    if not fields[3].lstrip("-").isdigit():
        return "count_not_a_number"
    count = int(fields[3])
    return None if count > 0 else "count_negative" if count else "count_zero"


def fault_in_rating(fields: Fields) -> str | None:
    if len(fields) != 3:
        return "too_few_columns" if len(fields) < 3 else "too_many_columns"
    if not fields[0] or not fields[1]:
        return "empty_item_id" if fields[0] else "empty_user_id"
    if not fields[2].lstrip("-").isdigit():
        return "rating_not_a_number"
    rating = int(fields[2])
    if rating == 0:
        return "rating_zero"
    return "rating_too_high" if rating > 10 else "rating_too_low" if rating < -1 else None


FAULTS: dict[str, Callable[[Fields], str | None]] = {
    "sample": fault_in_play,
    "lastfm_360k": fault_in_total,
    "anime": fault_in_rating,
}


def parse_pair(name: str, fields: Fields) -> tuple[str, str]:
    """Return user and item; the item of an artist without MusicBrainz id is `name:` and the name."""
    return fields[0], (fields[1] or f"name:{fields[2]}") if name == "lastfm_360k" else fields[1]


@pytest.mark.parametrize("name", SIZES)
def test_truth_states_what_an_independent_reader_finds(folders: dict[str, Path], name: str) -> None:
    folder, truth = folders[name], read_truth(folders[name])
    rows = list(read_rows(folder))
    faults = Counter(FAULTS[name](fields) for fields in rows)
    sound = Counter(tuple(fields) for fields in rows if FAULTS[name](fields) is None)
    copies = sum(sound.values()) - len(sound)
    counts, expected = truth["counts"], truth["expected"]

    assert {reason: count for reason, count in faults.items() if reason} == truth["broken"]
    assert counts["rows"] == SIZES[name]["rows"]
    assert counts["broken"] == sum(truth["broken"].values()) == counts["rows"] // 10
    assert counts["duplicated"] == copies
    assert len(sound) == counts["rows"] + counts["late"]
    assert expected["rows_read"] == len(rows)
    assert expected["rows_quarantined"] == counts["broken"]
    assert expected["rows_duplicate"] == (copies if name == "sample" else 0)
    sorted_out = ("rows_valid", "rows_duplicate", "rows_quarantined")
    assert expected["rows_read"] == sum(expected[kind] for kind in sorted_out)
    pairs = {parse_pair(name, list(fields)) for fields in sound}
    assert expected["pairs"] == len(pairs)
    if name != "sample":
        assert len(pairs) == len(sound)


@pytest.mark.parametrize("name", SIZES)
def test_late_files_hold_the_late_rows_and_redelivered_copies(folders: dict[str, Path], name: str) -> None:
    counts = read_truth(folders[name])["counts"]
    punctual = {tuple(fields) for fields in read_rows(folders[name], late=False)}
    late = [tuple(fields) for fields in read_rows(folders[name], late=True)]
    assert len({row for row in late if row not in punctual}) == counts["late"]
    assert 0 < sum(row in punctual for row in late) < counts["duplicated"]


@pytest.mark.parametrize("name", SIZES)
def test_dirt_changes_no_clean_row(folders: dict[str, Path], name: str, spark: SparkSession, tmp_path: Path) -> None:
    settings = SampleSettings.model_validate({"format": name, **SIZES[name]})
    counts = generate(spark, settings, 7, tmp_path / name)
    assert counts["broken"] == counts["duplicated"] == counts["late"] == 0
    clean = {tuple(fields) for fields in read_rows(tmp_path / name)}
    sound = {tuple(f) for f in read_rows(folders[name], late=False) if FAULTS[name](f) is None}
    assert clean == sound


@pytest.mark.parametrize("name", SIZES)
def test_dirt_is_spread_over_files_and_places(folders: dict[str, Path], name: str) -> None:
    broken = [FAULTS[name](fields) is not None for fields in read_rows(folders[name], late=False)]
    tenths = [sum(broken[len(broken) * k // 10 : len(broken) * (k + 1) // 10]) for k in range(10)]
    assert min(tenths) > 0.5 * max(tenths)


def test_plays_lie_in_their_year_and_late_ones_before_it(folders: dict[str, Path]) -> None:
    def times(late: bool) -> list[datetime]:
        sound = (f for f in read_rows(folders["sample"], late) if fault_in_play(f) is None)
        return [datetime.fromisoformat(fields[2]) for fields in sound]

    opening = WINDOW_END - timedelta(days=365)
    assert all(opening <= time < WINDOW_END for time in times(late=False))
    assert sum(time < opening for time in times(late=True)) == read_truth(folders["sample"])["counts"]["late"]


def test_a_user_sings_one_song_at_a_time(folders: dict[str, Path]) -> None:
    sound = {tuple(f) for f in read_rows(folders["sample"]) if fault_in_play(f) is None}
    assert len({(user, time) for user, _, time in sound}) == len(sound)


def test_users_and_songs_have_their_files(folders: dict[str, Path]) -> None:
    with (folders["sample"] / "users.csv").open(encoding="utf-8", newline="") as file:
        users = list(csv.DictReader(file))
    with (folders["sample"] / "items.csv").open(encoding="utf-8", newline="") as file:
        items = list(csv.DictReader(file))
    sound = [f for f in read_rows(folders["sample"]) if fault_in_play(f) is None]
    assert list(users[0]) == ["user_id", "gender", "age", "country"]
    assert list(items[0]) == ["item_id", "name", "artist", "genre", "year"]
    assert len(users) == 300
    assert {fields[0] for fields in sound} == {user["user_id"] for user in users}
    assert {fields[1] for fields in sound} <= {item["item_id"] for item in items}
    assert len({item["name"].casefold() for item in items}) == 400
    assert {user["gender"] for user in users} == {"f", "m", ""}
    assert any(not item["name"].isascii() for item in items)
    assert any('"' in item["artist"] + item["name"] for item in items)


def test_profiles_have_missing_values_and_unpadded_dates(folders: dict[str, Path]) -> None:
    text = (folders["lastfm_360k"] / "usersha1-profile.tsv").read_text(encoding="utf-8")
    profiles = [line.split("\t") for line in text.splitlines()]
    assert len(profiles) == len({profile[0] for profile in profiles}) == 250
    assert all(len(profile) == 5 and len(profile[0]) == 40 for profile in profiles)
    assert {profile[1] for profile in profiles} == {"f", "m", ""}
    assert 0.1 < sum(profile[2] == "" for profile in profiles) / 250 < 0.3
    for profile in profiles:
        assert 2002 <= datetime.strptime(profile[4], "%b %d, %Y").year <= 2009
        assert not profile[4].split()[1].startswith("0")


def test_artists_lack_ids_and_carry_quotes(folders: dict[str, Path]) -> None:
    sound = [f for f in read_rows(folders["lastfm_360k"]) if fault_in_total(f) is None]
    artists = {tuple(fields[1:3]) for fields in sound}
    assert len({name for _, name in artists}) == len(artists)
    assert 0.01 < sum(mbid == "" for mbid, _ in artists) / len(artists) < 0.06
    assert any('"' in name for _, name in artists)
    assert any(name.startswith('"') for _, name in artists)
    assert any(not name.isascii() for _, name in artists)


def test_anime_have_gaps_in_ids_and_commas_in_names(folders: dict[str, Path]) -> None:
    with (folders["anime"] / "anime.csv").open(encoding="utf-8", newline="") as file:
        anime = list(csv.DictReader(file))
    numbers = [int(row["anime_id"]) for row in anime]
    assert list(anime[0]) == ["anime_id", "name", "genre", "type", "episodes", "rating", "members"]
    assert len(set(numbers)) == 700 < max(numbers)
    assert any("," in row["name"] for row in anime)
    assert any('"' in row["name"] for row in anime)
    assert any(", " in row["genre"] for row in anime)
    assert {int(f[1]) for f in read_rows(folders["anime"]) if fault_in_rating(f) is None} <= set(numbers)


def test_about_a_fifth_of_the_watched_is_not_rated(folders: dict[str, Path]) -> None:
    ratings = [int(f[2]) for f in read_rows(folders["anime"]) if fault_in_rating(f) is None]
    assert 0.14 < ratings.count(-1) / len(ratings) < 0.24
    assert set(ratings) - {-1} <= set(range(1, 11))


@pytest.mark.parametrize("name", SIZES)
def test_truth_tables_name_the_users_and_items_of_the_files(folders: dict[str, Path], name: str) -> None:
    users = pd.read_parquet(folders[name] / "truth/users")
    items = pd.read_parquet(folders[name] / "truth/items.parquet")
    sound = [f for f in read_rows(folders[name]) if FAULTS[name](f) is None]
    assert set(users["user_id"]) == {fields[0] for fields in sound}
    assert {parse_pair(name, fields)[1] for fields in sound} <= set(items["item_id"])
    assert (len(users), len(items)) == (SIZES[name]["users"], SIZES[name]["items"])
    assert users["female_probability"].between(0, 1).all()
    assert items["popularity"].sum() == pytest.approx(1.0)

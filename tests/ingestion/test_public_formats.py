"""Formats of public logs and data sets, on small files of their layouts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from recsys_spark.core.errors import ConfigError
from tests.parsed_rows import check, parsed, play_rows

Write = Callable[..., Path]


def users(spark: SparkSession, folder: Path, **settings: Any) -> dict[str, tuple[Any, ...]]:
    """Return user -> (gender, age, country, attributes)."""
    rows = parsed(spark, folder, "users", **settings).collect()
    return {row["user_id"]: (row["gender"], row["age"], row["country"], row["attributes"]) for row in rows}


def items(spark: SparkSession, folder: Path, **settings: Any) -> dict[str, tuple[Any, ...]]:
    """Return item -> (name, attributes)."""
    rows = parsed(spark, folder, "items", **settings).collect()
    return {row["item_id"]: (row["name"], row["attributes"]) for row in rows}


def test_lastfm_1k(spark: SparkSession, write: Write) -> None:
    times = ["2009-05-04T23:08:57Z", "2009-05-04T13:54:10Z", "2009-05-04T13:52:04Z", "2009-05-04T13:42:52Z"]
    tracks = ['a1\tThe "Band\tt1\tOne', "a1\tThe Band\t\tTwo", "\tSolo\t\tTwo", "\tSolo\t\t"]
    lines = [f"user_000001\t{time}\t{track}" for time, track in zip(times, tracks, strict=True)]
    name = "userid-timestamp-artid-artname-traid-traname.tsv"
    folder = write(name, "\n".join([*lines, "user_000002\tbroken"])).parent
    write("userid-profile.tsv", "#id\tgender\tage\tcountry\tregistered\nuser_000001\tm\t\tJapan\tAug 13, 2006\n")
    write("README.txt", "not data")
    assert play_rows(spark, folder, "item_name", "played_at", format="lastfm_1k") == [
        ("user_000001", "name:Solo - Two", "Solo - Two", 1241445124, None),
        ("user_000001", "name:The Band - Two", "The Band - Two", 1241445250, None),
        ("user_000001", "t1", 'The "Band - One', 1241478537, None),
        ("user_000001", None, "Solo", 1241444572, "missing_item_id"),
        ("user_000002", None, None, None, "wrong_column_count"),
    ]
    profile = ("m", None, "Japan", {"signup": "Aug 13, 2006"})
    assert users(spark, folder, format="lastfm_1k") == {"user_000001": profile}


def test_listenbrainz(spark: SparkSession, write: Write) -> None:
    names = {"artist_name": "Air", "track_name": "Run"}
    listens: list[dict[str, Any]] = [
        {"user_name": "ann", "track_metadata": {**names, "additional_info": {"recording_mbid": "m1", "tags": ["x"]}}},
        {"user_name": "ann", "track_metadata": {**names, "mbid_mapping": {"recording_mbid": "m2"}}},
        {"user_id": 7, "recording_msid": "s1", "track_metadata": {**names, "additional_info": {"recording_mbid": ""}}},
        {"user_id": 7, "track_metadata": names},
        {"track_metadata": names},
        {"user_name": "ann", "track_metadata": "none"},
    ]
    lines = "".join(json.dumps({"listened_at": 1709287200, **listen}) + "\n" for listen in listens)
    folder = write("listens/2024/3.listens", lines).parents[1]
    assert play_rows(spark, folder, "item_name", "played_at", format="listenbrainz") == [
        ("7", "name:Air - Run", "Air - Run", 1709287200, None),
        ("7", "s1", "Air - Run", 1709287200, None),
        ("ann", "m1", "Air - Run", 1709287200, None),
        ("ann", "m2", "Air - Run", 1709287200, None),
        ("ann", None, None, 1709287200, "missing_item_id"),
        (None, "name:Air - Run", "Air - Run", 1709287200, "missing_user_id"),
    ]
    alone = play_rows(spark, folder, format="listenbrainz", user="eve")
    assert ("eve", "name:Air - Run", None) in alone and ("ann", "m1", None) in alone


def test_spotify(spark: SparkSession, write: Write) -> None:
    songs = [{"endTime": "2024-03-01 10:00", "artistName": "Air", "trackName": "Run", "msPlayed": 1000}]
    podcasts = [{"endTime": "2024-03-01 10:01", "podcastName": "Talk", "episodeName": "One", "msPlayed": 1000}]
    account = write("account/StreamingHistory_music_0.json", json.dumps(songs, indent=2)).parent
    write("account/StreamingHistory_podcast_0.json", json.dumps(podcasts))
    write("account/Playlist1.json", json.dumps({"playlists": []}))
    assert play_rows(spark, account, "item_name", "played_at", format="spotify", user="me", timezone="Asia/Seoul") == [
        ("me", "name:Air - Run", "Air - Run", 1709287200, None),
        ("me", "name:Talk - One", "Talk - One", 1709287260, None),
    ]
    with pytest.raises(ConfigError, match=r"source\.user"):
        check(spark, account, format="spotify")
    row: dict[str, Any] = {
        "username": "ann",
        "ts": "2024-03-01T10:00:00Z",
        "ms_played": 5,
        "spotify_track_uri": "spotify:track:1",
    }
    row |= {"master_metadata_track_name": "Run", "master_metadata_album_artist_name": "Air", "episode_name": None}
    episode: dict[str, Any] = {
        "username": "ann",
        "ts": "2024-03-01T10:01:00Z",
        "spotify_track_uri": None,
        "episode_name": "One",
    }
    episode |= {"episode_show_name": "Talk", "spotify_episode_uri": "spotify:episode:2"}
    nothing = {"username": "ann", "ts": "2024-03-01T10:02:00Z", "spotify_track_uri": None}
    extended = write("extended/Streaming_History_Audio_2024_0.json", json.dumps([row, episode, nothing])).parent
    write("extended/Streaming_History_Video_2024.json", json.dumps([row]))
    check(spark, extended, format="spotify")
    assert play_rows(spark, extended, "item_name", "played_at", format="spotify") == [
        ("ann", "spotify:episode:2", "Talk - One", 1709287260, None),
        ("ann", "spotify:track:1", "Air - Run", 1709287200, None),
        ("ann", None, None, 1709287320, "missing_item_id"),
    ]


def test_lastfm_2k(spark: SparkSession, write: Write) -> None:
    folder = write("user_artists.dat", "userID\tartistID\tweight\r\n2\t51\t13883\r\n2\t52\t0\r\n").parent
    write(
        "artists.dat",
        'id\tname\turl\tpictureURL\n51\t"Weird Ål\thttp://x/51\thttp://y\n52\tNo picture\thttp://x/52\t\n',
    )
    write("user_friends.dat", "userID\tfriendID\n2\t275\n")
    found = play_rows(spark, folder, "play_count", format="lastfm_2k")
    assert found == [("2", "51", 13883, None), ("2", "52", 0, "play_count_zero")]
    names = {"51": ('"Weird Ål', {"url": "http://x/51"}), "52": ("No picture", {"url": "http://x/52"})}
    assert items(spark, folder, format="lastfm_2k") == names


def test_book_crossing(spark: SparkSession, write: Write) -> None:
    ratings = [
        '"User-ID";"ISBN";"Book-Rating"',
        '"1";"034545104X";"0"',
        '"1";"0155061224";"5"',
        '"2";"x";"11"',
        '"2";"x"',
        ";" * 30_000,
    ]
    folder = write("BX-Book-Ratings.csv", "\r\n".join(ratings)).parent
    write(
        "BX-Users.csv",
        '"User-ID";"Location";"Age"\n"1";"nyc; x, new york, usa";NULL\n"2";"porto, n/a, portugal";"18"\n',
    )
    book = r'"034545104X";"Caf\"é; One";"A. Writer";"2002";"Press";"http://s";"http://m";"http://l"'
    header = '"ISBN";"Book-Title";"Book-Author"'
    write("BX-Books.csv", f"{header}\n{book}\n".encode("latin-1"))
    assert play_rows(spark, folder, "rating", format="book_crossing") == [
        ("1", "0155061224", 5.0, None),
        ("1", "034545104X", None, None),
        ("2", "x", 11.0, "rating_out_of_range"),
        ("2", "x", None, "wrong_column_count"),
        (None, None, None, "wrong_column_count"),
    ]
    assert users(spark, folder, format="book_crossing") == {
        "1": (None, None, "usa", {"location": "nyc; x, new york, usa"}),
        "2": (None, 18, "portugal", {"location": "porto, n/a, portugal"}),
    }
    attributes = {"author": "A. Writer", "year": "2002", "publisher": "Press"}
    assert items(spark, folder, format="book_crossing") == {"034545104X": ('Caf"é; One', attributes)}


def test_a_rating_may_mean_not_rated(spark: SparkSession, write: Write) -> None:
    folder = write("a.csv", "user_id,item_id,stars\n1,a,0\n1,b,0.0\n1,c,5\n1,d,\n1,e,-1\n").parent
    settings = {"kind": "ratings", "columns": {"rating": "stars"}, "min_rating": 1, "unrated_value": 0}
    assert play_rows(spark, folder, "rating", **settings) == [
        ("1", "a", None, None),
        ("1", "b", None, None),
        ("1", "c", 5.0, None),
        ("1", "d", None, "missing_rating"),
        ("1", "e", -1.0, "rating_out_of_range"),
    ]

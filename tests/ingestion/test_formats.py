"""Source formats on small original files and on generated files with counted dirt."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import functions as F

from tests.conftest import Outcome, Workspace

Write = Callable[..., Path]


def ingest(workspace: Workspace, source_format: str, *arguments: object) -> Outcome:
    """Ingest all files that the test wrote, successfully."""
    path = workspace.root.parent / "raw"
    return workspace.done("ingest_plays", "--source.format", source_format, "--source.path", path, *arguments)


def plays(workspace: Workspace) -> set[tuple[Any, ...]]:
    """Return (user, item, play_count, rating, epoch seconds) of all plays."""
    seconds = F.unix_seconds("played_at")
    rows = workspace.table("plays").select("user_id", "item_id", "play_count", "rating", seconds).collect()
    return {tuple(row) for row in rows}


def items(workspace: Workspace) -> dict[str, tuple[str, dict[str, str]]]:
    """Return item -> (name, attributes)."""
    rows = workspace.table("items").collect()
    return {row["item_id"]: (row["name"], row["attributes"]) for row in rows}


def users(workspace: Workspace) -> dict[str, tuple[Any, ...]]:
    """Return user -> (gender, age, country, attributes)."""
    rows = workspace.table("users").collect()
    return {row["user_id"]: (row["gender"], row["age"], row["country"], row["attributes"]) for row in rows}


def test_movielens_100k(workspace: Workspace, write: Write) -> None:
    write("u.data", "196\t242\t3\t881250949\n186\t302\t5\t891717742\n22\t377\t9\t878887116\n")
    write("u.user", "196|49|M|writer|55105\n22|25|F|artist|40206\n")
    flags = ["0"] * 19
    flags[1] = flags[5] = "1"
    write("u.item", f"242|Café Society (1995)|01-Jan-1995||http://x|{'|'.join(flags)}\n".encode("ISO-8859-1"))
    write("u1.base", "1\t1\t1\t1\n")
    write("README", "not data")
    outcome = ingest(workspace, "movielens", "--source.max_quarantine_share", "0.5")
    assert (outcome.rows["read"], outcome.rows["valid"], outcome.rows["quarantined"]) == (3, 2, 1)
    assert plays(workspace) == {("196", "242", 1, 3.0, 881250949), ("186", "302", 1, 5.0, 891717742)}
    assert items(workspace)["242"] == ("Café Society (1995)", {"genres": "Action|Comedy", "year": "1995"})
    assert users(workspace)["22"] == ("f", 25, None, {"occupation": "artist", "zip": "40206"})


def test_movielens_1m(workspace: Workspace, write: Write) -> None:
    write("ratings.dat", "1::1193::5::978300760\n1::661::3::978302109\n2::661::4\n")
    write("users.dat", "1::F::1::10::48067\n2::M::56::16::70072\n")
    write("movies.dat", "1193::Misérables (1975)::Drama\n661::Peach (1996)::Animation|Children's\n".encode("latin-1"))
    outcome = ingest(workspace, "movielens", "--source.max_quarantine_share", "0.5")
    assert (outcome.rows["valid"], outcome.rows["quarantined"]) == (2, 1)
    assert items(workspace)["661"] == ("Peach (1996)", {"genres": "Animation|Children's", "year": "1996"})
    assert items(workspace)["1193"][0] == "Misérables (1975)"
    assert users(workspace)["2"][:2] == ("m", 56)


def test_movielens_10m_and_later_are_utf8_with_half_stars(workspace: Workspace, write: Write) -> None:
    write("ml-10M/ratings.dat", "1::122::4.5::838985046\n")
    write("ml-10M/movies.dat", "122::Les Misérables (1995)::Drama\n9::Plain (1990)::(no genres listed)\n")
    write("ml-10M/tags.dat", "1::122::x::838985046\n")
    write("ml-32m/ratings.csv", "userId,movieId,rating,timestamp\n2,122,0.5,1112486027\n2,7,5.5,1112486027\n")
    write("ml-32m/movies.csv", 'movieId,title,genres\n7,"Été, L\' ""A"" (2001)",Action|Drama\n')
    write("ml-32m/links.csv", "movieId,imdbId,tmdbId\n7,1,1\n")
    outcome = ingest(workspace, "movielens", "--source.max_quarantine_share", "0.5")
    assert (outcome.rows["read"], outcome.rows["valid"], outcome.rows["quarantined"]) == (3, 2, 1)
    assert plays(workspace) == {("1", "122", 1, 4.5, 838985046), ("2", "122", 1, 0.5, 1112486027)}
    assert items(workspace) == {
        "122": ("Les Misérables (1995)", {"genres": "Drama", "year": "1995"}),
        "9": ("Plain (1990)", {"year": "1990"}),
        "7": ('Été, L\' "A" (2001)', {"genres": "Action|Drama", "year": "2001"}),
    }


def test_lastfm_360k_keeps_quotes_and_names_without_an_id(workspace: Workspace, write: Write) -> None:
    rows = ['u1\tmbid-1\tThe "Real" Thing\t12', 'u1\t\t"Weird Al\t3', "u2\tmbid-1\tThe Real Thing\t1", "u2\tmbid-2\tx"]
    rows += ['u3\tmbid-1\tThe "Real" Thing\t2']
    write("usersha1-artmbid-artname-plays.tsv", "\n".join(rows) + "\n")
    write("usersha1-profile.tsv", "u1\tf\t22\tGermany\tFeb 1, 2007\nu2\tm\t\tMexico\tOct 2, 2008\nu3\t\t-1\t\t\n")
    outcome = ingest(workspace, "lastfm_360k", "--source.max_quarantine_share", "0.5")
    assert (outcome.rows["read"], outcome.rows["valid"], outcome.rows["quarantined"]) == (5, 4, 1)
    assert ("u1", 'name:"Weird Al', 3, None, None) in plays(workspace)
    assert items(workspace)["mbid-1"][0] == 'The "Real" Thing', "the name that most plays carry"
    assert users(workspace)["u1"] == ("f", 22, "Germany", {"signup": "Feb 1, 2007"})
    assert users(workspace)["u3"][:3] == (None, None, None)


def test_lastfm_gender_states_the_user_on_every_row(workspace: Workspace, write: Write) -> None:
    write("lastfm.csv", 'user,artist,sex,country\n1,abba,f,Germany\n1,"earth, wind",f,Germany\n2,abba,m,\n')
    assert ingest(workspace, "lastfm_gender").rows["valid"] == 3
    assert {row[1] for row in plays(workspace)} == {"abba", "earth, wind"}
    assert users(workspace)["1"][:3] == ("f", None, "Germany")
    assert items(workspace)["abba"][0] == "abba"


def test_anime_minus_one_is_a_play_without_a_rating(workspace: Workspace, write: Write) -> None:
    write("rating.csv", "user_id,anime_id,rating\n1,20,-1\n1,24,10\n2,20,8\n2,24,0\n2,79,\n3,20,11\n")
    write(
        "anime.csv",
        'anime_id,name,genre,type,episodes,rating,members\n20,"Na, ru ""to""","Action, Comedy",TV,220,7.8,9\n',
    )
    outcome = ingest(workspace, "anime", "--source.max_quarantine_share", "0.6")
    assert (outcome.rows["read"], outcome.rows["valid"], outcome.rows["quarantined"]) == (6, 3, 3)
    assert plays(workspace) == {("1", "20", 1, None, None), ("1", "24", 1, 10.0, None), ("2", "20", 1, 8.0, None)}
    name, attributes = items(workspace)["20"]
    assert name == 'Na, ru "to"' and attributes["genre"] == "Action, Comedy" and attributes["episodes"] == "220"


@pytest.mark.parametrize(
    "source_format", ["sample", *[pytest.param(name, marks=pytest.mark.slow) for name in ("lastfm_360k", "anime")]]
)
def test_generated_dirt_is_found_row_for_row(workspace: Workspace, source_format: str) -> None:
    folder = workspace.root.parent / "raw"
    size = ["--sample.users", "120", "--sample.items", "80", "--sample.rows", "2400", "--sample.dirt_share", "0.2"]
    workspace.done("generate_sample", "--sample.format", source_format, *size, "--source.path", folder)
    expected = json.loads((folder / "truth" / "truth.json").read_text())["expected"]
    outcome = ingest(workspace, source_format, "--source.max_quarantine_share", "0.5")
    found = {name: outcome.rows[name] for name in ("read", "valid", "duplicate", "quarantined")}
    assert found == {name: expected[f"rows_{name}"] for name in found}
    assert found["read"] == found["valid"] + found["duplicate"] + found["quarantined"]
    assert found["quarantined"] > 0 and workspace.table("plays").count() == found["valid"]
    workspace.done("build_interactions")
    assert workspace.table("interactions").count() == expected["pairs"]

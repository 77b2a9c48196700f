"""The Python interface in a Spark session: tables, jobs, title lists, and answers from a catalog."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from recsys_spark import Root, open_root
from recsys_spark.core.errors import ConfigError, MissingInputError

SMALL = {
    "source.format": "plays",
    "source.columns.item_name": "item_name",
    "models.als.rank": 4,
    "models.als.max_iter": 3,
    "pipeline.kinds": ["als"],
    "pipeline.gender": False,
    "pipeline.report": False,
}
NAMES = ("Plain", "it''s \\'quoted\\'", "{plays} `x`", "Ünïcode :value_0", "five", "six", "Same", "same ")


@pytest.fixture(params=["folder", pytest.param("catalog", marks=pytest.mark.slow)])
def root(
    request: pytest.FixtureRequest, spark: SparkSession, write: Callable[..., Path], tmp_path: Path
) -> Iterator[Root]:
    """Return the tables of a small pipeline run, in a folder or in a catalog."""
    lines = [f'u{user},s{song},"{NAMES[song]}"' for user in range(12) for song in range(8) if (user + song) % 3]
    place = (
        {"tables.root": str(tmp_path / "tables")}
        if request.param == "folder"
        else {"tables.schema": "music_answers", "files.root": str(tmp_path / "files")}
    )
    file = write("plays.csv", "user_id,item_id,item_name\n" + "\n".join(lines) + "\n")
    yield open_root(settings={**SMALL, **place, "source.path": str(file)}, spark=spark)
    spark.sql("DROP SCHEMA IF EXISTS music_answers CASCADE")


def test_the_whole_interface_in_a_session(root: Root, spark: SparkSession) -> None:
    assert root.run("run_pipeline").status == "done"
    assert root.serving()["table"].tolist() == ["item_similarity", "recommendations"]
    assert root.table("plays").count() == 64
    for number, name in enumerate(NAMES[:6]):
        by_name, by_id = root.similar_items(name.upper(), top=3), root.similar_items(f"s{number}", top=3)
        pd.testing.assert_frame_equal(by_name, by_id)
        assert by_name["position"].tolist() == [1, 2, 3] and name not in by_name["similar_item"].tolist()
    with pytest.raises(ConfigError, match="2 items have the name"):
        root.similar_items("SAME")
    with pytest.raises(MissingInputError, match="the nearest names are Plain, "):
        root.similar_items("Plane")
    lists = root.recommendations("u1", top=2)
    played = {row["item_id"] for row in root.table("plays").where("user_id = 'u1'").collect()}
    assert len(lists) == 2 and not played & set(lists["item_id"])
    found = root.recommendations_for(["five", "six", "nothing"], top=3)
    assert (found.source, found.not_found, len(found.items)) == ("model", ("nothing",), 3)
    assert not {"five", "six"} & set(found.items["item"]) and "<table" in found._repr_html_()
    root.close()
    assert spark.range(1).count() == 1, "a session that was given is left as it is"

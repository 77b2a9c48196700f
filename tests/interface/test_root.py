"""The Python interface without Spark: answers, and the configuration from any folder."""

import subprocess
import sys
from pathlib import Path

import pytest

import recsys_spark
from recsys_spark import open_root
from recsys_spark.core.errors import ConfigError, MissingInputError
from tests.interface.conftest import SETTINGS, model_row, write


def test_answers_are_those_of_the_command(root: Path) -> None:
    opened = open_root(root)
    near = opened.similar_items("O'Neill's [bold]song")
    assert near.to_dict("list") == {
        "position": [1],
        "similar_item": ["i4"],
        "similar_item_id": ["i4"],
        "similarity": [1.0],
    }
    assert opened.similar_items("i0", top=1)["similar_item"].tolist() == ["Red Sun"]
    lists = opened.recommendations("u")
    assert list(lists.columns) == ["position", "item", "item_id", "score", "origin"]
    assert lists["item"].tolist() == ["Red Sun", "i4"]
    with pytest.raises(MissingInputError, match="no recommendations of the user 'U'"):
        opened.recommendations("U")
    with pytest.raises(ConfigError, match="2 items have the name"):
        opened.similar_items("blue moon")


def test_braces_and_quotes_in_names_are_text(root: Path) -> None:
    names = {"i0": "{version}", "i2": "a''b\\"}
    write(root, "items", [{"item_id": item, "name": name} for item, name in names.items()])
    assert open_root(root).similar_items("{VERSION}", top=1)["similar_item"].tolist() == ["a''b\\"]
    with pytest.raises(MissingInputError, match=r"no item has the id or name '\{models\}'"):
        open_root(root).similar_items("{models}")


def test_serving_versions_and_new_rows_are_seen(root: Path) -> None:
    opened = open_root(root)
    write(root, "models", [model_row("als-a", ["item_similarity"], SETTINGS)])
    assert opened.serving()[["table", "model_version", "kind"]].values.tolist() == [["item_similarity", "als-a", "als"]]
    with pytest.raises(MissingInputError, match="als-a has no neighbours"):
        opened.similar_items("i0")


def test_gender_of_titles(root: Path) -> None:
    opened = open_root(root, settings={"gender.confidence": 0.6})
    found = opened.gender("i0")
    assert (found.gender, found.known_items) == ("f", 1)
    assert found == opened.gender(["Blue Moon"]) or found.matched != ()
    shown = opened.gender(["o'neill's [bold]song", "i0"])._repr_html_()
    assert "<b>f</b>" in shown and "O&#x27;Neill&#x27;s [bold]Song" in shown


def test_a_configuration_is_found_from_a_folder_below(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "my.yaml").write_text("tables: {root: tables}\nreport: {path: out/report.html}\n")
    (tmp_path / "notebooks" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "notebooks" / "deep")
    opened = open_root(config="conf/my.yaml", settings={"similarity.neighbours": 7})
    assert opened.similar_items("i0", top=1)["similar_item"].tolist() == ["Red Sun"]
    assert opened.config.tables.root == str(root) and opened.config.similarity.neighbours == 7
    assert opened.config.report.path == str(tmp_path / "out" / "report.html")
    assert repr(opened) == f"Root({str(root)!r})"
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        open_root(config="conf/none.yaml")
    with pytest.raises(ConfigError, match="did you mean"):
        open_root(root, settings={"similarity.neighbour": 7})


def test_the_root_of_the_first_run_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data" / "tables").mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert open_root().config.tables.root == str(tmp_path / "data" / "tables")


def test_unknown_tables_and_jobs_are_listed_before_spark_starts(root: Path) -> None:
    with pytest.raises(ConfigError, match="there is no table 'play'; there are plays, "):
        open_root(root).table("play")
    with pytest.raises(ConfigError, match="there is no table 'play'; there are plays, "):
        open_root(root).has("play")
    assert open_root(root).has("items") and not open_root(root).has("splits")
    with pytest.raises(ConfigError, match="there is no job 'ingest'; there are "):
        open_root(root).run("ingest")


def test_the_package_loads_nothing_before_it_is_asked() -> None:
    program = "import sys, recsys_spark; print([m for m in ('pandas', 'pydantic', 'pyspark') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="no attribute 'open_roots'"):
        recsys_spark.open_roots  # noqa: B018

"""Quick answers: similar items and recommendations of the serving model."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from recsys_spark.interface.commands import main
from tests.interface.conftest import SETTINGS, Answer, model_row, write

Ask = Callable[..., Answer]
Capture = pytest.CaptureFixture[str]


def test_similar_takes_an_id_or_a_name_and_reads_the_serving_version_alone(ask: Ask) -> None:
    code, out, err = ask("similar", "i0", "--json")
    assert (code, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    found = [(line["model_version"], line["position"], line["similar_item_id"], line["similar_item"]) for line in lines]
    assert found == [("als-new", 1, "i2", "Red Sun"), ("als-new", 2, "i3", "O'Neill's [bold]Song")]
    code, out, _ = ask("similar", "o'neill's", "[BOLD]song")
    assert code == 0 and "Nearest to O'Neill's [bold]Song (i3), by als-new" in out
    assert [line.split("│")[2].strip() for line in out.splitlines() if line.startswith("│")] == ["i4"]
    assert ask("similar", "i0", "--top", "1", "--json")[1].count("\n") == 1


def test_an_ambiguous_name_lists_the_ids(ask: Ask) -> None:
    code, out, err = ask("similar", " BLUE moon")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "similar: 2 items have the name ' BLUE moon': give the item_id instead of the name",
        "similar:   i0  Blue Moon",
        "similar:   i1  blue  moon ",
    ]


def test_an_unknown_name_gets_the_nearest_names(ask: Ask) -> None:
    code, out, err = ask("similar", "Red Son")
    assert (code, out) == (4, "")
    assert err.startswith("similar: no item has the id or name 'Red Son'; the nearest names are Red Sun, ")


def test_an_item_without_neighbours_is_stated(ask: Ask) -> None:
    code, _, err = ask("similar", "Red Sun")
    assert code == 4 and "als-new has no neighbours of Red Sun (i2)" in err


def test_recommend_prints_the_list_of_a_user(ask: Ask) -> None:
    code, out, _ = ask("recommend", "u", "--json")
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["position"], row["item_id"], row["item"]) for row in rows] == [(1, "i2", "Red Sun"), (2, "i4", "i4")]
    assert ask("recommend", "O'x")[0] == 0
    code, out, err = ask("recommend", "U")
    assert (code, out) == (4, "") and "no recommendations of the user 'U'" in err and "O'x" not in err
    assert ask("recommend", "u", "O'x")[0] == 2


def test_no_tables_and_no_serving_model_name_the_jobs(root: Path, ask: Ask, capsys: Capture) -> None:
    write(root, "models", [model_row("als-new", ["recommendations"], SETTINGS)])
    code, _, err = ask("similar", "i0")
    assert code == 4 and err.endswith("run build_item_similarity and publish_model first\n")
    code, _, err = ask("gender", "i0")
    assert code == 4 and "publish_model --model.kind gender first" in err
    assert main(["recommend", "u", "--tables.root", str(root / "nowhere")]) == 4
    assert "there is no table models" in capsys.readouterr().err
    assert not (root / "nowhere").exists()


def test_the_root_of_make_run_is_used_where_none_is_configured(
    root: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root.parent)
    assert main(["similar", "i0"]) == 2
    assert "neither tables.root nor tables.schema is set" in capsys.readouterr().err
    (root.parent / "data").mkdir()
    root.rename(root.parent / "data" / "tables")
    assert main(["similar", "i0", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "tables.root is not set: reading data/tables\n" and captured.out.count("\n") == 2
    # A configured root, also by the environment, replaces it.
    monkeypatch.setenv("RECSYS_TABLES__ROOT", str(root))
    assert main(["similar", "i0", "--json"]) == 4
    monkeypatch.delenv("RECSYS_TABLES__ROOT")
    assert main(["similar", "i0", "--tables.schema", "s", "--files.root", "f"]) == 2
    assert "read by Spark alone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["similar"], "nothing is asked for: usage: recsys similar ITEM"),
        (["similar", " "], "nothing is asked for"),
        (["similar", "i0", "--top", "none"], "--top: expected a number of rows"),
        (["similar", "i0", "--top", "0"], "--top: expected a number of rows"),
        (["similar", "i0", "--tables.rot", "x"], "tables.root"),
        (["recommend", "u", "--jsn"], "--jsn"),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_code_2(ask: Ask, arguments: list[str], words: str) -> None:
    code, out, err = ask(*arguments)
    assert (code, out) == (2, "") and words in err


def test_words_after_two_dashes_are_no_flags(root: Path, capsys: Capture) -> None:
    write(root, "items", [{"item_id": "--json", "name": "A"}])
    assert main(["similar", "--tables.root", str(root), "--", "--json"]) == 4
    assert "has no neighbours of A (--json)" in capsys.readouterr().err

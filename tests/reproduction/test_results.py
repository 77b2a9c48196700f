"""Tests of the reproduction: entries, kept results, their table, and the job."""

import json
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from recsys_spark.config.load import load_config
from recsys_spark.config.split import RATING_PROTOCOLS
from recsys_spark.core.errors import MissingInputError
from recsys_spark.metrics.ranking import parse_metric
from recsys_spark.reproduction import entries
from recsys_spark.reproduction.datasets import find_datasets
from recsys_spark.reproduction.entries import ENTRIES, PER_USER
from recsys_spark.reproduction.entry import Entry, Target
from recsys_spark.reproduction.results import Result, Results, key_of, markdown, table_rows
from tests.conftest import Workspace

ENTRY = Entry("EASE", "ml-1m", "ease", PER_USER, (Target("ndcg@10", 0.2865, "RecBole", 0.286),), 3)


def result(entry: Entry, repeat: int, value: float) -> Result:
    values = {"ndcg@10": value}
    about = (key_of(entry, repeat), entry.name, entry.data, entry.protocol, entry.kind, repeat, repeat)
    return Result(*about, f"ease-{repeat}", f"per_user_random-{repeat}bcdef123456", values, {"ndcg@10": 0.1}, 600, 3.0)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.name} {entry.data} {entry.protocol}")
def test_every_entry_is_a_valid_command_line(entry: Entry) -> None:
    flags = entry.flags(1, "folder")
    words = [word for key, value in flags.items() for word in (f"--{key}", value)]
    config = load_config(["--tables.root", "t", *words], {})
    assert (config.model.kind, config.split.protocol, config.run.seed) == (entry.kind, entry.protocol, 1)
    for target in entry.targets:
        if entry.protocol in RATING_PROTOCOLS:
            assert target.metric == "rmse"
        else:
            parse_metric(target.metric)
        assert (target.published is None) == (target.source == "")
    assert key_of(entry, 1) != key_of(entry, 2)


def test_repeats_are_seeds_or_folds() -> None:
    assert [ENTRY.flags(n, "f")["run.seed"] for n in (1, 2)] == ["1", "2"]
    folds = replace(ENTRY, split={"protocol": "rating_folds"})
    assert [folds.flags(n, "f")["split.fold"] for n in (1, 2)] == ["1", "2"]
    assert {folds.flags(n, "f")["run.seed"] for n in (1, 2)} == {"1"}


def test_results_survive_a_kill_and_other_settings_give_another_key(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    Results(file).add(result(ENTRY, 1, 0.28))
    with file.open("a") as stream:
        stream.write('{"key": "half of a li')
    results = Results(file)
    assert results.get(key_of(ENTRY, 1)) == result(ENTRY, 1, 0.28)
    assert results.get(key_of(ENTRY, 2)) is None
    for changed in ({"settings": {"reg": "7"}}, {"split": {**PER_USER, "test_share": "0.2"}}, {"targets": ()}):
        assert results.get(key_of(replace(ENTRY, **changed), 1)) is None
    assert results.get(key_of(replace(ENTRY, settings={"reg": "500"}), 1)), "a default that is stated is no change"
    results.add(result(ENTRY, 2, 0.29))
    assert len(Results(file).for_entry(ENTRY)) == 2, "the half line is not joined to the next"


def test_the_table_has_mean_deviation_and_the_published_value(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl")
    values = [0.28, 0.29, 0.285]
    for repeat, value in enumerate(values, start=1):
        results.add(result(ENTRY, repeat, value))
    (row,) = table_rows([ENTRY, replace(ENTRY, data="ml-20m")], results)
    assert row[:5] == ("EASE", "ml-1m, per_user_random", "ndcg@10", "0.2865 (RecBole)", "0.286")
    assert row[5] == f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}"
    assert row[6:] == ("0.1000", "seeds 1, 2, 3", "600", "3", "1bcdef, 2bcdef, 3bcdef")
    lines = markdown([row]).splitlines()
    assert len(lines) == 3 and len({line.count("|") for line in lines}) == 1


def test_data_sets_are_recognised_by_their_files(tmp_path: Path) -> None:
    for file in (
        "a/u.data",
        "b/ratings.dat",
        "b/users.dat",
        "c/ratings.csv",
        "c/genome-scores.csv",
        "d/lastfm.csv.gz",
        "e/notes.txt",
    ):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    found = find_datasets([str(tmp_path)])
    assert {name: dataset.folder.name for name, dataset in found.items()} == {
        "ml-100k": "a",
        "ml-1m": "b",
        "ml-20m": "c",
        "lastfm-gender": "d",
    }
    assert set(find_datasets([str(tmp_path / "a")])) == {"ml-100k"}
    with pytest.raises(MissingInputError, match=r"no public data set found in .*e"):
        find_datasets([str(tmp_path / "e")])


@pytest.mark.slow
def test_the_job_runs_repeats_without_results(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data" / "ml-100k"
    folder.mkdir(parents=True)
    lines = [
        f"{u}\t{i}\t{1 + (u + i) % 5}\t{900_000_000 + u * i}" for u in range(1, 31) for i in range(1, 21) if (u * i) % 3
    ]
    (folder / "u.data").write_text("\n".join([*lines, ""]))
    for fold in (1, 2):
        (folder / f"u{fold}.test").write_text("\n".join([*lines[fold::5], ""]))
    lists = Entry("EASE", "ml-100k", "ease", {"protocol": "per_user_random"}, (Target("ndcg@10", 0.5, "Me", None),), 2)
    rated = Entry(
        "ALS",
        "ml-100k",
        "als",
        {"protocol": "rating_folds"},
        (Target("rmse", None, "", 1.0),),
        2,
        {"implicit": "false", "rank": "2", "max_iter": "2"},
        "train_and_validation",
    )
    monkeypatch.setattr(entries, "ENTRIES", (lists, rated))
    flags = ["--reproduce.data", tmp_path / "data"]
    assert workspace.done("reproduce", *flags, "--reproduce.kinds", "ease").rows == {"repeats_run": 2, "rows": 1}
    outcome = workspace.done("reproduce", *flags)
    assert outcome.rows == {"repeats_run": 2, "rows": 2}
    printed = [json.loads(line) for line in outcome.stdout.splitlines() if line.startswith('{"data"')]
    assert [line["repeat"] for line in printed] == [1, 2]
    assert (workspace.root / "results.md").read_text().count("\n") == 4
    assert workspace.done("reproduce", *flags).rows == {"repeats_run": 0, "rows": 2}

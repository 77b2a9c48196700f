"""`--help` of jobs: the keys of one job on one screen, and sections in full."""

import pytest

from recsys_spark.config.help import section_help
from recsys_spark.config.job_help import MAX_LINES, WIDTH, job_help
from recsys_spark.config.keys import ConfigKeys
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.names import all_kinds
from recsys_spark.interface.registry import all_jobs, find_job
from recsys_spark.runtime.job import Job

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("job", all_jobs(), ids=lambda job: job.name)
def test_the_help_of_a_job_is_one_screen_of_its_own_settings(job: Job, capsys: Capture) -> None:
    assert job.main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= MAX_LINES and max(map(len, lines)) <= WIDTH
    assert lines[0].startswith(f"usage: {job.name} ") and job.summary.split()[0] in lines[2]
    flags = [line.split()[0].removeprefix("--") for line in lines if line.startswith("  --")]
    shown = {flag.removesuffix(".KEY") for flag in flags} - {"config", "help"}
    own = (*job.settings, "tables", "files", "run", "spark")
    # A section of one declared key may be in short form.
    known = {part for name in own for part in (name, name.removesuffix(".key"))}
    assert [name for name in shown if not any(f"{name}.".startswith(f"{part}.") for part in known)] == []
    parts = {setting.partition(".")[0] for setting in job.settings}
    assert parts <= {name.partition(".")[0] for name in shown}


@pytest.mark.parametrize("job", all_jobs(), ids=lambda job: job.name)
def test_declared_settings_exist(job: Job) -> None:
    keys = [*ConfigKeys(), *(f"models.{kind}." for kind in all_kinds())]
    assert job.settings
    for setting in job.settings:
        assert any(f"{key}.".startswith(f"{setting}.") for key in keys), setting


def test_a_long_help_keeps_the_first_section_and_shortens_the_largest() -> None:
    text = job_help("demo", "Demonstrates.", ("interactions", "source", "gender", "training", "similarity"))
    assert "  --interactions.rebuild " in text and "  --similarity.neighbours " in text
    assert "  --source.KEY VALUE" in text and "--source.path" not in text
    assert len(text.splitlines()) <= MAX_LINES


def test_a_line_states_type_meaning_and_default() -> None:
    (line,) = [line for line in job_help("demo", "", ["similarity"]).splitlines() if "similarity.neighbours" in line]
    assert line.split(maxsplit=2) == [
        "--similarity.neighbours",
        "INTEGER",
        "Number of nearest items of each item [50]",
    ]


def test_a_section_has_full_descriptions(capsys: Capture) -> None:
    assert find_job("evaluate").main(["--config", "no.yaml", "--help", "source.columns"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(
        "  --source.columns.user_id TEXT  (default: user_id)\n        Raw column of the user's id.\n"
    )
    assert "--source.path" not in text
    assert section_help("gender.all_users").count("--gender") == 1
    assert "--models.als.rank INTEGER  (default: 64)" in section_help("models.als")
    assert section_help("models").count("\n") == len(all_kinds()) - 1


@pytest.mark.parametrize(
    ("topic", "nearest"), [("sorce", "source"), ("models.cdea", "models.cdae"), ("x", "--help all")]
)
def test_an_unknown_section_gets_the_nearest_names(topic: str, nearest: str, capsys: Capture) -> None:
    assert find_job("evaluate").main(["--help", topic]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert (
        captured.err.startswith(f"evaluate: no section or setting has the name {topic!r}") and nearest in captured.err
    )


def test_a_kind_whose_library_is_missing_is_an_error_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_torch(kind: str) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr("recsys_spark.config.keys.load_settings", without_torch)
    with pytest.raises(ConfigError, match="torch is not installed"):
        section_help("models.cdae")

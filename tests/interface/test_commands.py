"""The command `recsys`: its list of commands, jobs, and completion."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recsys_spark.core.names import load_named
from recsys_spark.interface.commands import COMMANDS, main
from recsys_spark.interface.registry import all_jobs, command_name, job_names

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_all_commands_are_listed_with_a_line_each(arguments: list[str], capsys: Capture) -> None:
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines if line.startswith("  ")]
    assert names == [*COMMANDS, *map(command_name, job_names())]
    assert max(map(len, lines)) <= 100


def test_the_registry_has_every_job_under_its_own_name() -> None:
    assert [job.name for job in all_jobs()] == sorted(file.stem for file in (ROOT / "jobs").glob("[!_]*.py"))


@pytest.mark.parametrize("name", ["build-item-similarity", "build_item_similarity"])
def test_a_job_runs_as_it_does_alone(name: str, tmp_path: Path, capsys: Capture) -> None:
    assert main([name, "--tables.root", str(tmp_path)]) == 4
    captured = capsys.readouterr()
    line = json.loads(captured.out.splitlines()[-1])
    assert (line["job"], line["exit_code"]) == ("build_item_similarity", 4)
    assert "build_item_similarity: there are no tables at" in captured.err


@pytest.mark.parametrize(("name", "nearest"), [("simlar", "similar"), ("ingest", "ingest-plays"), ("zzz", "lists all")])
def test_an_unknown_command_gets_the_nearest_names(name: str, nearest: str, capsys: Capture) -> None:
    assert main([name]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and nearest in captured.err and captured.err.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_describes_itself(name: str, capsys: Capture) -> None:
    assert callable(load_named(COMMANDS[name][0]))
    assert main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: recsys {name} ")


def test_the_package_is_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "recsys_spark", "nonsense"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stderr.startswith("recsys: there is no command 'nonsense'")


def bash_words(script: str, *words: str) -> list[str]:
    """Return what bash completes for the last of these words."""
    line = f'COMP_WORDS=(recsys {" ".join(words)}); COMP_CWORD={len(words)}; _recsys; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", f"{script}\n{line}"], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_completion_knows_commands_and_the_settings_of_a_job(capsys: Capture) -> None:
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert bash_words(script, "ing") == ["ingest-plays"]
    assert bash_words(script, "train-spark-model", "--models.als.ra") == ["--models.als.rank"]
    assert bash_words(script, "ingest-plays", "--models.als.ra") == []
    assert bash_words(script, "ingest-plays", "--config", "co") == []
    assert bash_words(script, "completion", "f") == ["fish"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_scripts_of_other_shells_are_complete_and_valid(shell: str, capsys: Capture) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(command_name(name) in script for name in job_names()) and "--source.path" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize("arguments", [[], ["tcsh"], ["bash", "zsh"]])
def test_completion_needs_one_known_shell(arguments: list[str], capsys: Capture) -> None:
    assert main(["completion", *arguments]) == 2
    assert "bash, zsh, fish" in capsys.readouterr().err


def test_a_reader_that_ends_early_is_no_error() -> None:
    program = "import sys; from recsys_spark.interface.commands import entry_point as run; sys.argv[1:] = []; run()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as done:
        assert done.stdout is not None and done.stderr is not None
        done.stdout.close()
        assert "Traceback" not in done.stderr.read()
    assert done.returncode == 0

"""The commands that a pipeline suggests at its end."""

import shlex
import sys
from pathlib import Path

from recsys_spark.pipeline.summary import next_commands


def test_commands_can_be_typed_where_the_pipeline_ran(tmp_path, monkeypatch):
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "recsys").touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    monkeypatch.chdir(tmp_path)
    commands = [shlex.split(command) for command in next_commands("Don't $stop", "data/my tables")]
    assert commands[0] == [".venv/bin/recsys", "similar", "Don't $stop", "--tables.root", "data/my tables"]
    assert all(Path(words[0]).exists() and words[-1] == "data/my tables" for words in commands)
    assert {words[1] for words in commands} == {"similar", "build-recommendations", "build-item-map"}


def test_an_active_environment_needs_no_path(tmp_path, monkeypatch):
    (tmp_path / "recsys").touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert all(command.startswith("recsys ") for command in next_commands("a", "tables"))

"""Tests of the Makefile with programs that only record their calls."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = "awk bash cat chmod cksum cp cut dirname env ls make mkdir rm sed sh touch"
OLD_PYTHON = "#!/bin/sh\necho Python 3.9.2; exit 1"
RECORDING_UV = """#!/bin/sh
echo "uv $*" >> calls
"""
RECORDING_PYTHON = """#!/bin/sh
echo "python $*" >> calls
case "$*" in
    *venv*) mkdir -p .venv/bin && cp "$0" .venv/bin/python && cp recording-uv .venv/bin/uv ;;
    *delta_jars*) test ! -e no-network ;;
esac
"""


def java(version: str) -> str:
    return f"#!/bin/sh\necho 'openjdk version \"{version}\" 2023-10-17' >&2"


class Checkout:
    """Copy of the files of `make`, with a PATH of Python, Java and small tools."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("Makefile", "setup.py", "pyproject.toml"):
            shutil.copy(ROOT / name, folder)
        for name in (".ci", "jobs", "recsys_spark", "requirements"):
            shutil.copytree(ROOT / name, folder / name)
        self.program("recording-uv", RECORDING_UV)
        self.program("path/python3.11", RECORDING_PYTHON)
        self.program("path/java", java("17.0.9"))
        for tool in TOOLS.split():
            (folder / "path" / tool).symlink_to(shutil.which(tool) or tool)

    def program(self, name: str, text: str) -> None:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        program = [str(self.folder / command[0]), *command[1:]]
        variables = {"PATH": str(self.folder / "path"), **environment}
        return subprocess.run(program, cwd=self.folder, env=variables, capture_output=True, text=True, check=False)

    def make(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run("path/make", *arguments, **environment)

    def calls(self) -> list[str]:
        """Return the programs called since the last call of this method."""
        file = self.folder / "calls"
        text = file.read_text() if file.exists() else ""
        file.unlink(missing_ok=True)
        return text.splitlines()


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def installs(calls: list[str]) -> str:
    """Return the lock file that was installed, or an empty string."""
    syncs = [call.split()[-1] for call in calls if call.startswith("uv pip sync")]
    return syncs[0] if syncs else ""


def test_make_alone_lists_the_targets(checkout):
    listed = {line.split()[1] for line in checkout.make().stdout.splitlines()}
    assert listed >= {"run", "test", "test-slow", "check", "wheel", "help"}
    assert checkout.calls() == []


@pytest.mark.parametrize("target", ["run", "test"])
@pytest.mark.parametrize("found", ["", OLD_PYTHON])
def test_a_missing_or_wrong_python_is_one_line(checkout, target, found):
    (checkout.folder / "path" / "python3.11").unlink()
    if found:
        checkout.program("path/python3", found)
    done = checkout.make(target)
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert "Python 3.11 or 3.12" in done.stderr
    assert "install" in done.stderr
    assert not (checkout.folder / ".venv").exists()


@pytest.mark.parametrize("target", ["run", "test"])
@pytest.mark.parametrize("version", ["", "11.0.2", "1.8.0_292", "170.1"])
def test_a_missing_or_wrong_jdk_is_one_line(checkout, target, version):
    (checkout.folder / "path" / "java").unlink()
    if version:
        checkout.program("path/java", java(version))
    done = checkout.make(target)
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert "JDK 17 or 21" in done.stderr
    assert (version or "missing") in done.stderr
    assert checkout.calls() == []


@pytest.mark.parametrize(("home", "good"), [("21.0.1", True), ("11", False), ("", False)])
def test_java_home_comes_before_path_as_it_does_for_spark(checkout, home, good):
    checkout.program("path/java", java("11" if good else "17"))
    if home:
        checkout.program("jdk/bin/java", java(home))
    done = checkout.make("run", JAVA_HOME=str(checkout.folder / "jdk"))
    assert (done.returncode == 0) is good
    assert ("jdk/bin/java" in done.stderr) is not good


def test_a_second_call_installs_nothing_whatever_the_file_times_say(checkout):
    last = "python jobs/run_pipeline.py --config conf/local.yaml"
    assert checkout.make("run").returncode == 0
    first = checkout.calls()
    assert installs(first) == "requirements/run.lock"
    assert first[-1] == last
    for file in checkout.folder.glob("requirements/*"):
        os.utime(file)
    assert checkout.make("run").returncode == 0
    assert checkout.calls() == [last]


@pytest.mark.parametrize("change", ["requirements/run.lock", "setup.py", "jobs/another_job.py"])
def test_a_change_of_installed_files_updates_the_environment(checkout, change):
    checkout.make("run")
    checkout.calls()
    with (checkout.folder / change).open("a") as file:
        file.write("\n")
    checkout.make("run")
    calls = checkout.calls()
    assert installs(calls) == "requirements/run.lock"
    assert not any("venv --clear" in call for call in calls)


def test_an_environment_for_tests_runs_too_and_stays_able_to_test(checkout):
    checkout.make("test")
    assert installs(checkout.calls()) == "requirements/test.lock"
    checkout.make("run")
    assert installs(checkout.calls()) == ""
    (checkout.folder / "jobs" / "another_job.py").touch()
    checkout.make("run")
    assert installs(checkout.calls()) == "requirements/test.lock"


def test_a_set_up_that_failed_starts_over(checkout):
    (checkout.folder / "no-network").touch()
    assert checkout.make("run").returncode != 0
    assert not any("run_pipeline" in call for call in checkout.calls())
    (checkout.folder / "no-network").unlink()
    assert checkout.make("run").returncode == 0
    assert any("venv --clear" in call for call in checkout.calls())


def test_ci_checks_and_tests(checkout):
    assert checkout.run(".ci/run").returncode == 0
    assert [call.removeprefix("python -m ") for call in checkout.calls()[-6:]] == [
        "ruff check",
        "ruff format --check",
        "tests.docstrings",
        "mypy",
        "pytest -m not slow and not spark -n 2 --dist loadfile",
        "pytest -m spark and not slow -n 3 --dist loadfile",
    ]


@pytest.mark.parametrize("code", [1, 2, 5])
def test_ci_fails_when_tests_fail(checkout, code):
    checkout.make("test")
    checkout.program(".venv/bin/python", f'#!/bin/sh\n[ "$2" != pytest ] || exit {code}\n')
    assert checkout.run(".ci/run").returncode != 0

"""Jobs and their help in an environment without the heavy libraries."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from recsys_spark.core.errors import ConfigError
from recsys_spark.core.libraries import explain_missing_libraries, install_command

ROOT = Path(__file__).parents[2]
# Blocks imports as if the libraries were not installed; everything else runs as in a process of its own.
BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block())
"""


def run(program: str, *blocked: str) -> subprocess.CompletedProcess[str]:
    """Run a program without some libraries."""
    code = BLOCK.format(blocked=blocked) + program
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_help_of_all_jobs_loads_no_heavy_library() -> None:
    done = run(
        "from recsys_spark.interface.registry import all_jobs\nfor job in all_jobs(): assert job.main(['--help']) == 0",
        *("pyspark", "delta", "py4j", "torch", "petastorm", "pandas", "pyarrow", "deltalake"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("usage: ") == len(list((ROOT / "jobs").glob("[!_]*.py")))


@pytest.mark.parametrize(
    "program",
    [
        "from recsys_spark.jobs.train_torch_model import main\nassert main(['--help', 'all']) == 0",
        "from recsys_spark.interface.commands import main\nassert main(['completion', 'bash']) == 0",
        "from recsys_spark.config.load import load_config\n"
        "config = load_config(['--tables.root', '/t', '--models.cdae.units', '7', '--models.als.rank', '8'])\n"
        "print('--models.cdae.units', config.models.cdae.units, '--models.als.rank')",
    ],
    ids=["help", "completion", "configuration"],
)
def test_settings_of_all_kinds_are_read_without_heavy_libraries(program: str) -> None:
    engines = ("pyspark", "delta", "py4j", "torch", "petastorm", "deltalake")
    heavy = (*engines, "numba", "numpy", "scipy", "pandas", "pyarrow")
    done = run(f"{program}\nassert not {set(heavy)!r} & set(sys.modules)", *heavy)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--models.cdae.units" in done.stdout and "--models.als.rank" in done.stdout


@pytest.mark.parametrize("library", ["pyspark", "py4j"])
def test_a_job_without_spark_names_the_command_that_installs_it(library: str, tmp_path: Path) -> None:
    program = (
        "from recsys_spark.jobs.ingest_plays import entry_point\n"
        f"sys.argv[1:] = ['--tables.root', {str(tmp_path)!r}]\nentry_point()"
    )
    done = run(program, library)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    assert line == (f"ingest_plays: {library} is not installed in this environment: run {install_command('spark')}")
    assert json.loads(done.stdout.splitlines()[-1])["exit_code"] == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("module", "extra"), [("torch", "torch"), ("torch.nn", "torch"), ("petastorm", "torch")])
def test_missing_libraries_of_networks_are_configuration_errors(module: str, extra: str) -> None:
    with pytest.raises(ConfigError) as caught, explain_missing_libraries():
        raise ModuleNotFoundError(name=module)
    assert str(caught.value).endswith(f"run {install_command(extra)}")


def test_other_missing_modules_stay_defects() -> None:
    with pytest.raises(ModuleNotFoundError), explain_missing_libraries():
        raise ModuleNotFoundError(name="recsys_spark.misspelt")


def test_the_command_has_the_ranges_of_the_package() -> None:
    command = install_command("spark")
    assert command.startswith("python -m pip install ") and "'pyspark<" in command and "'delta-spark<" in command
    assert "torch" not in command

"""Processes of a fit are killed in the middle of a file, and run again."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]

# Kills itself in the middle of the n-th array that it writes, and else stores the result.
RUNNER = """
import os, signal, sys
from pathlib import Path
import numpy as np
from recsys_spark.core.atomic_files import atomic_write
from recsys_spark.models.block_als import factor_files
from tests.models.block_als.test_passes import passes_of, plays, train

number, folder, written = int(sys.argv[1]), Path(sys.argv[2]), []
save = factor_files.save_array

def dying(path, array):
    written.append(path)
    if len(written) == number:
        with atomic_write(path) as draft:
            draft.write_bytes(array.tobytes()[: array.nbytes // 2])
            os.kill(os.getpid(), signal.SIGKILL)
    save(path, array)

factor_files.save_array = dying
users, items, done = train(plays(), folder, passes_of(max_iter=2))
np.savez(folder / "result.npz", users=users, items=items, objectives=done.objectives)
"""


def run(number, folder):
    command = [sys.executable, "-c", RUNNER, str(number), str(folder)]
    return subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert run(0, folder / "run").returncode == 0
    return np.load(folder / "run" / "result.npz", allow_pickle=False)


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 11, 20, 33])
def test_a_killed_process_goes_on_with_the_same_bytes(tmp_path, expected, number):
    assert run(number, tmp_path / "cut").returncode == -signal.SIGKILL
    assert list((tmp_path / "cut").glob("*/.*.tmp")) != []
    again = run(0, tmp_path / "cut")
    assert again.returncode == 0, again.stderr
    found = np.load(tmp_path / "cut" / "result.npz", allow_pickle=False)
    for name in ("users", "items", "objectives"):
        np.testing.assert_array_equal(expected[name], found[name])

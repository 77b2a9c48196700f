"""Training in several processes against one process, and after a lost process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from recsys_spark.training.checkpoint import Checkpoints
from recsys_spark.training.spec import TrainSpec
from recsys_spark.training.trainer import train
from tests.training.runs import NOISY, PLAIN, log_of, make_specs, stored_weights
from tests.training.shard_folders import planted_tastes

RANKS = """
import json, os, signal, sys
from pathlib import Path
from recsys_spark.training import trainer

step, kill_at = trainer._Trainer._step, int(sys.argv[2])

def killed_before_a_step(self, loaded):
    if self.ranks.rank == 1 and self.state.global_step == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    step(self, loaded)

trainer._Trainer._step = killed_before_a_step
report = trainer.train(json.loads(sys.argv[1]))
Path(sys.argv[3], "report-" + os.environ["RANK"] + ".json").write_text(json.dumps(report))
"""


def train_on_ranks(spec: TrainSpec, root: Path, ranks: int = 2, kill_at: int = -1) -> int:
    """Run torchrun and return its exit status; the ranks write reports below `root`."""
    (root / "ranks.py").write_text(RANKS)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    command = [*launch, str(root / "ranks.py"), json.dumps(spec.as_dict()), str(kill_at), str(root)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()}
    return subprocess.run(command, env=environment, timeout=300, check=False).returncode


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    tastes = planted_tastes(n_rows=41)
    alone, together = make_specs(tmp_path, "song_autoencoder", tastes, PLAIN | {"average": 0.9}, "alone", "together")
    report = train(alone.as_dict())
    assert train_on_ranks(together, tmp_path) == 0
    reports = [json.loads((tmp_path / f"report-{rank}.json").read_text()) for rank in (0, 1)]
    assert reports[0] == reports[1]
    assert reports[0]["steps"] == report["steps"]
    assert sum(reports[0]["rows_of_ranks"]) == 41
    assert len(reports[0]["rows_of_ranks"]) == 2
    for one, two in zip(log_of(alone), log_of(together), strict=True):
        assert two.pop("loss") == pytest.approx(one.pop("loss"), rel=1e-4)
        assert two.pop("metric") == pytest.approx(one.pop("metric"), rel=1e-4)
        assert one == two
    for name, tensor in stored_weights(alone).items():
        torch.testing.assert_close(stored_weights(together)[name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_run_with_a_killed_process_resumes_with_the_same_result(tmp_path: Path) -> None:
    whole, killed = make_specs(tmp_path, "mult_vae", planted_tastes(), NOISY, "whole", "killed", checkpoint_minutes=0.0)
    assert train_on_ranks(whole, tmp_path) == 0
    assert train_on_ranks(killed, tmp_path, kill_at=6) != 0
    assert not (Path(killed.folder) / "network.json").exists()
    newest = Checkpoints(killed.checkpoints).newest()
    assert newest is not None
    # The other process may end before it has saved its last checkpoint.
    assert 0 < newest.step <= 6
    assert train_on_ranks(killed, tmp_path) == 0
    for name, tensor in stored_weights(whole).items():
        torch.testing.assert_close(stored_weights(killed)[name], tensor, rtol=0, atol=1e-5)
    assert [line["epoch"] for line in log_of(killed)] == [0, 1, 2]

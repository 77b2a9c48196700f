"""Tests of jobs on extreme play distributions and on full disks."""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from tests.conftest import Workspace
from tests.processes import SMALL

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_500)]

Write = Callable[..., Path]

ITEMS, HEAVY, ALIKE, PLAIN = 2_000, 1_000_000, 300, 100
START = 1_600_000_000
TIMED = ["--source.format", "plays", "--source.columns.played_at", "at"]
ALS = ["--models.als.rank", "4", "--models.als.max_iter", "3", "--recommendations.top_k", "5"]
# Limits the size of files, like a full disk, to more than that of the libraries that the JVM unpacks.
LIMITED = """
import resource, sys
from recsys_spark.jobs import ingest_plays

resource.setrlimit(resource.RLIMIT_FSIZE, (2_500_000, 2_500_000))
sys.exit(ingest_plays.main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with extreme users and ids.

    One user has a million plays, one has every item, many have the same items; some ids are a megabyte long.
    """
    path, chance = tmp_path_factory.mktemp("raw") / "plays.csv", random.Random(7)
    with path.open("w") as file:
        file.write("user_id,item_id,at\n")
        for number in range(HEAVY):
            file.write(f"heavy,i{chance.randrange(ITEMS // 2)},{START + number}\n")
        for item in range(ITEMS):
            file.write(f"everything,i{item},{START}\n")
        for user in range(ALIKE):
            file.writelines(f"alike{user},i{item},{START}\n" for item in range(20))
        for user in range(PLAIN):
            file.writelines(f"plain{user},i{item},{START}\n" for item in chance.sample(range(ITEMS), 30))
        for number in range(3):
            file.write(f"{'u' * 1_000_000}{number},i1,{START}\nalike1,{'i' * 1_000_000}{number},{START}\n")
    return path


def test_extreme_plays_are_counted_once_and_served(workspace: Workspace, hostile: Path) -> None:
    done = workspace.done("run_pipeline", "--source.path", hostile, *TIMED, *ALS)
    valid = HEAVY + ITEMS + ALIKE * 20 + PLAIN * 30
    reasons = workspace.table("plays_quarantine").select(F.explode("reasons")).groupBy("col").count().collect()
    assert {row["col"]: row["count"] for row in reasons} == {"user_id_too_long": 3, "item_id_too_long": 3}
    assert workspace.table("plays").count() == valid
    assert workspace.table("interactions").agg(F.sum("play_count")).first()[0] == valid  # type: ignore[index]
    lists = workspace.table("recommendations").where("model_version LIKE 'als-%'")
    named = lists.groupBy("user_id").agg(F.sort_array(F.collect_list("item_id")).alias("items")).collect()
    items = {row["user_id"]: row["items"] for row in named}
    assert "everything" not in items, "nothing is left to recommend"
    assert len(items) == 1 + ALIKE + PLAIN
    assert len(items["heavy"]) == 5 and all(int(item[1:]) >= ITEMS // 2 for item in items["heavy"])
    assert len({tuple(items[f"alike{user}"]) for user in range(ALIKE)}) == 1
    seen = workspace.table("plays").select("user_id", "item_id")
    assert lists.join(seen, ["user_id", "item_id"]).isEmpty()
    before = workspace.versions()
    workspace.done("run_pipeline", "--source.path", hostile, *TIMED, *ALS)
    assert workspace.versions() == before
    assert done.summary["error"] is None


def test_a_full_disk_is_reported_and_the_next_run_completes_the_batch(workspace: Workspace, write: Write) -> None:
    chance = random.Random(7)
    rows = [f"{chance.randbytes(8).hex()},{chance.randbytes(8).hex()},{START + number}" for number in range(200_000)]
    raw = write("plays.csv", "\n".join(["user_id,item_id,at", *rows, ""]))
    flags = [*TIMED, "--source.path", str(raw)]
    command = [sys.executable, "-c", LIMITED, "--tables.root", str(workspace.root), *flags]
    command += SMALL
    full = subprocess.run(command, check=False, cwd=raw.parent.parent, capture_output=True, text=True)
    assert full.returncode == 2, full.stderr[-3_000:]
    assert "File too large" in full.stderr and "make room" in full.stderr
    assert workspace.table("job_runs").select("status", "exit_code").collect() == [("failed", 2)]
    workspace.done("ingest_plays", *flags)
    assert workspace.table("plays").distinct().count() == workspace.table("plays").count() == 200_000
    assert [row["status"] for row in workspace.table("ingested_files").collect()] == ["ingested"]

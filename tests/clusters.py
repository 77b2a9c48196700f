"""Standalone Spark cluster, or Spark Connect server, on this machine."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyspark

from recsys_spark.runtime.spark_settings import FIRST_COMPILER

__all__ = ["Cluster", "connect_server", "standalone_cluster"]

SPARK_HOME = Path(pyspark.__file__).parent
ROOT = Path(__file__).parents[1]


@dataclass
class Cluster:
    """Address and worker processes of a cluster.

    `folder` holds the logs; `stack` stops the processes at the end.
    """

    master: str
    folder: Path
    stack: contextlib.ExitStack
    memory: str
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """Return the environment of a driver whose executors use this Python."""
        return {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}

    def start_worker(self) -> None:
        """Start another worker of one core."""
        number = len(self.workers)
        log = self.folder / f"worker-{number}.log"
        arguments = ["--cores", "1", "--memory", self.memory, "--host", "127.0.0.1", "--webui-port", "0"]
        arguments += ["--work-dir", str(self.folder / f"work-{number}"), self.master]
        self.workers.append(_start(self.stack, log, "worker.Worker", *arguments))
        _wait_for(log, r"(Successfully registered with master)")


@contextlib.contextmanager
def standalone_cluster(folder: Path, n_workers: int = 2, memory: str = "2g") -> Iterator[Cluster]:
    """Start a cluster and kill all of its processes at the end."""
    with contextlib.ExitStack() as stack:
        log = folder / "master.log"
        _start(stack, log, "master.Master", "--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
        cluster = Cluster(_wait_for(log, r"Starting Spark master at (spark://\S+)"), folder, stack, memory)
        for _ in range(n_workers):
            cluster.start_worker()
        yield cluster


@contextlib.contextmanager
def connect_server(folder: Path) -> Iterator[str]:
    """Start a Spark Connect server of two cores and yield its address."""
    log = folder / "connect.log"
    command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", "local[2]", "--driver-memory", "2g"]
    command += ["--properties-file", str(ROOT / "conf" / "connect-server.conf")]
    options = ["binding.port=0", "binding.address=127.0.0.1"]
    command += [word for option in options for word in ("--conf", f"spark.connect.grpc.{option}")]
    command += ["--conf", "spark.ui.enabled=false", "--conf", "spark.sql.shuffle.partitions=2"]
    command += ["--conf", f"spark.driver.extraJavaOptions={FIRST_COMPILER}"]
    command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    with contextlib.ExitStack() as stack:
        _spawn(stack, log, command, {"PYSPARK_PYTHON": sys.executable})
        port = _wait_for(log, r"SparkConnectService.* on port (\d+)")
        yield f"sc://127.0.0.1:{port}"


def _start(stack: contextlib.ExitStack, log: Path, role: str, *arguments: str) -> "subprocess.Popen[bytes]":
    command = [str(SPARK_HOME / "bin" / "spark-class"), f"org.apache.spark.deploy.{role}", *arguments]
    return _spawn(stack, log, command, {"SPARK_DAEMON_MEMORY": "512m"})


def _spawn(
    stack: contextlib.ExitStack, log: Path, command: list[str], more: dict[str, str]
) -> "subprocess.Popen[bytes]":
    """Start a process group with further environment variables; `stack` kills it."""
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", **more}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=environment, cwd=ROOT, start_new_session=True
        )
    stack.callback(_kill, process)
    return process


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _wait_for(log: Path, pattern: str, seconds: float = 120) -> str:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = re.search(pattern, log.read_text(errors="replace"))
        if found is not None:
            return found[1]
        time.sleep(0.2)
    raise AssertionError(f"no {pattern!r} in {log}: {log.read_text(errors='replace')[-2_000:]}")

"""Where training runs: in this process, in several of this machine, or on executors. The only place that knows
TorchDistributor.

TorchDistributor never tries again: a lost process fails the whole attempt. So attempts are made here, and each goes
on from the newest checkpoint. What cannot work is refused before any process starts, since Spark would wait for
minutes without a word.
"""

import logging
import os
from collections.abc import Iterator
from typing import Any

from pyspark.sql import SparkSession

from recsys_spark.config.training import TrainingSettings
from recsys_spark.core.errors import ConfigError, TrainingError
from recsys_spark.runtime.session import parallelism
from recsys_spark.training.failures import clear_failure, read_failure, train_rank
from recsys_spark.training.spec import TrainSpec
from recsys_spark.training.trainer import train

__all__ = ["check_training", "run_training", "threads_per_process"]

log = logging.getLogger(__name__)


def run_training(spark: SparkSession, spec: TrainSpec, settings: TrainingSettings) -> dict[str, Any]:
    """Trains and gives the report of `train`; a lost process or executor is replaced, `settings.retries` times.

    Raises ConfigError for what this session cannot run, TrainingError when training fails.
    """
    check_training(spark, settings)
    if settings.local and settings.processes == 1:
        return train(spec.as_dict())
    for attempt in range(settings.retries + 1):
        clear_failure(spec)
        try:
            return _distribute(spec, settings)
        except Exception as error:  # TorchDistributor passes on whatever a process or Spark raised
            told = read_failure(spec)
            if told is not None:
                raise told from error
            if attempt == settings.retries:
                raise TrainingError(
                    f"training was lost {attempt + 1} times, the last time with: {_tail(error)}; run the same command "
                    "again to go on from the last checkpoint"
                ) from error
            log.warning("training was lost (%s); attempt %d goes on from a checkpoint", _tail(error), attempt + 2)
    raise AssertionError("the loop returns or raises")


def check_training(spark: SparkSession, settings: TrainingSettings) -> None:
    """Refuses what could only fail or wait. Raises ConfigError with every problem and its remedy."""
    problems = list(_local_problems(spark, settings) if settings.local else _cluster_problems(spark, settings))
    if problems:
        raise ConfigError(*problems)


def _local_problems(spark: SparkSession, settings: TrainingSettings) -> Iterator[str]:
    if not settings.use_gpu:
        return
    import torch

    present = torch.cuda.device_count()
    if present < settings.processes:
        yield (
            f"training.use_gpu: {settings.processes} GPUs are asked for and this machine has {present}: set "
            f"training.processes to at most {present}, or training.use_gpu to false"
        )
    # With fewer, TorchDistributor would start fewer processes and say so in its own log alone.
    elif settings.processes > max(1, int(spark.conf.get("spark.driver.resource.gpu.amount", None) or 0)):
        yield (
            f"training.use_gpu: start the session with spark.driver.resource.gpu.amount={settings.processes} and a "
            "spark.driver.resource.gpu.discoveryScript, as processes of one machine share out the driver's GPUs"
        )


def _cluster_problems(spark: SparkSession, settings: TrainingSettings) -> Iterator[str]:
    conf = spark.conf
    if conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        yield "training on executors needs all of them at once: submit with spark.dynamicAllocation.enabled=false"
    slots = parallelism(spark)
    executors, gpus = conf.get("spark.executor.instances", None), conf.get("spark.executor.resource.gpu.amount", None)
    if settings.use_gpu and executors and gpus:
        slots = min(slots, int(executors) * int(gpus))
    if slots < settings.processes:
        yield (
            f"training.processes: {settings.processes} tasks are asked for and the cluster runs {slots} at once: "
            f"lower training.processes or submit with more executors"
        )
    if settings.use_gpu and conf.get("spark.task.resource.gpu.amount", None) != "1":
        yield "training.use_gpu: submit with spark.executor.resource.gpu.amount and spark.task.resource.gpu.amount=1"
    if settings.use_gpu and conf.get("spark.python.worker.reuse", "true") != "false":
        yield (
            "training.use_gpu: submit with spark.python.worker.reuse=false, as workers that are used again may have "
            "been told to see no GPU"
        )


def _distribute(spec: TrainSpec, settings: TrainingSettings) -> dict[str, Any]:
    from pyspark.ml.torch.distributor import TorchDistributor

    distributor = TorchDistributor(
        num_processes=settings.processes, local_mode=settings.local, use_gpu=settings.use_gpu
    )
    report: dict[str, Any] | None = distributor.run(train_rank, spec.as_dict())
    if report is None:
        raise TrainingError("training gave no result")
    return report


def threads_per_process(settings: TrainingSettings) -> int:
    """Threads of each process: as set, or the machine's cores shared out among the processes on it."""
    if settings.threads or not settings.local:
        return settings.threads
    return max(1, (os.cpu_count() or 1) // settings.processes)


def _tail(error: Exception) -> str:
    # Below the message of a process that Spark ran stand the frames of Java.
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(("at ", "... ", "Driver stacktrace"))]
    return told[-1][:200] if told else type(error).__name__

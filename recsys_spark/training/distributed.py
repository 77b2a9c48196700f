"""Training in this process, in several local processes, or on executors through TorchDistributor.

TorchDistributor has no retries: a lost process fails the whole attempt. So this module makes the attempts, and each
resumes from the newest checkpoint. Settings that cannot work are refused before any process starts, because Spark
would wait for minutes without a message.
"""

import logging
import os
from collections.abc import Iterator
from typing import Any

from pyspark.sql import SparkSession

from recsys_spark.config.training import TrainingSettings
from recsys_spark.core.errors import ConfigError, TrainingError
from recsys_spark.runtime.spark_context import is_remote, parallelism
from recsys_spark.training.failures import clear_failure, read_failure, train_rank
from recsys_spark.training.memory import check_network_memory
from recsys_spark.training.spec import TrainSpec
from recsys_spark.training.trainer import train

__all__ = ["check_training", "run_training", "threads_per_process"]

log = logging.getLogger(__name__)


def run_training(spark: SparkSession, spec: TrainSpec, settings: TrainingSettings) -> dict[str, Any]:
    """Train a network and return the report of `train`.

    A lost process or executor is replaced, `settings.retries` times. Raises ConfigError for settings that this session
    cannot run or whose network needs too much memory, TrainingError if training fails.
    """
    check_training(spark, settings)
    check_network_memory(spec, settings.max_network_bytes)
    if settings.local and settings.processes == 1:
        return train(spec.as_dict())
    for attempt in range(settings.retries + 1):
        clear_failure(spec)
        try:
            return _distribute(spec, settings)
        except Exception as error:  # TorchDistributor passes on any error of a process or of Spark
            failure = read_failure(spec)
            if failure is not None:
                raise failure from error
            if attempt == settings.retries:
                raise TrainingError(
                    f"training lost a process {attempt + 1} times, the last time with: {_last_line(error)}; run the "
                    "same command again to resume from the last checkpoint"
                ) from error
            log.warning(
                "training lost a process (%s): attempt %d resumes from a checkpoint", _last_line(error), attempt + 2
            )
    raise AssertionError("the loop returns or raises")


def check_training(spark: SparkSession, settings: TrainingSettings) -> None:
    """Check that the session can run these settings.

    Raises ConfigError with every problem and its remedy.
    """
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
            f"training.use_gpu: {settings.processes} GPUs are requested and this machine has {present}: set "
            f"training.processes to at most {present}, or training.use_gpu to false"
        )
    # With fewer GPUs TorchDistributor starts fewer processes and only writes a line to its own log.
    elif settings.processes > max(1, int(spark.conf.get("spark.driver.resource.gpu.amount", None) or 0)):
        yield (
            f"training.use_gpu: start the session with spark.driver.resource.gpu.amount={settings.processes} and a "
            "spark.driver.resource.gpu.discoveryScript, because local processes share the driver's GPUs"
        )


def _cluster_problems(spark: SparkSession, settings: TrainingSettings) -> Iterator[str]:
    if is_remote(spark):
        yield (
            "training on executors needs the Spark context, which Spark Connect does not have: set training.local=true"
            " and training.processes=1, or submit the job with spark-submit"
        )
        return
    conf = spark.conf
    if conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        yield "training on executors needs all of them at once: submit with spark.dynamicAllocation.enabled=false"
    slots = parallelism(spark)
    executors, gpus = conf.get("spark.executor.instances", None), conf.get("spark.executor.resource.gpu.amount", None)
    if settings.use_gpu and executors and gpus:
        slots = min(slots, int(executors) * int(gpus))
    if slots < settings.processes:
        yield (
            f"training.processes: {settings.processes} tasks are requested and the cluster runs {slots} at once: "
            f"lower training.processes or submit with more executors"
        )
    if settings.use_gpu and conf.get("spark.task.resource.gpu.amount", None) != "1":
        yield "training.use_gpu: submit with spark.executor.resource.gpu.amount and spark.task.resource.gpu.amount=1"
    if settings.use_gpu and conf.get("spark.python.worker.reuse", "true") != "false":
        yield (
            "training.use_gpu: submit with spark.python.worker.reuse=false, because reused workers may have "
            "been started without a visible GPU"
        )


def _distribute(spec: TrainSpec, settings: TrainingSettings) -> dict[str, Any]:
    from pyspark.ml.torch.distributor import TorchDistributor

    distributor = TorchDistributor(
        num_processes=settings.processes, local_mode=settings.local, use_gpu=settings.use_gpu
    )
    report: dict[str, Any] | None = distributor.run(train_rank, spec.as_dict())
    if report is None:
        raise TrainingError("training returned no report: look into the logs of its processes")
    return report


def threads_per_process(settings: TrainingSettings) -> int:
    """Return the threads of each process: as set, or the machine's cores divided among local processes."""
    if settings.threads or not settings.local:
        return settings.threads
    return max(1, (os.cpu_count() or 1) // settings.processes)


def _last_line(error: Exception) -> str:
    # Java stack frames follow the message of a process that Spark ran.
    lines = [line.strip() for line in str(error).splitlines()]
    messages = [line for line in lines if line and not line.startswith(("at ", "... ", "Driver stacktrace"))]
    return messages[-1][:200] if messages else type(error).__name__

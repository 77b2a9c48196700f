"""Session settings for local training with one GPU per process; the test needs no GPU."""

import subprocess
import sys

GIVEN = ["--tables.root", "unused", "--spark.master", "local[1]"]
GIVEN += ["--training.use_gpu", "true", "--training.processes", "2"]
ASKED = """
import sys
from recsys_spark.config.load import load_config
from recsys_spark.runtime.session import spark_session
from pyspark.ml.torch.distributor import TorchDistributor

with spark_session(load_config(sys.argv[1:])) as spark:
    gpus = spark.sparkContext.resources["gpu"].addresses
    print(gpus, TorchDistributor(num_processes=2, local_mode=True, use_gpu=True).num_processes)
"""


def test_the_driver_owns_a_gpu_for_each_process() -> None:
    found = subprocess.run([sys.executable, "-c", ASKED, *GIVEN], capture_output=True, text=True, check=True)
    assert found.stdout == "['0', '1'] 2\n"

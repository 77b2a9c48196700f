"""One of two processes of the GPU check, started by torchrun: trains by the specification in its argument."""

import json
import sys

from recsys_spark.training.trainer import train

if __name__ == "__main__":
    train(json.loads(sys.argv[1]))

"""Wheel of the package, with the jobs folder as `recsys_spark.jobs`, the command `recsys` and one command per job.

Version ranges are here, exact versions with hashes in requirements/. The base is for clusters with their own Spark,
such as Databricks, where pip must not install a second one. `[spark]` adds Spark, `[torch]` the libraries of
training, `[cli]` the reader of the quick answers of `recsys`, `[connect]` the client of Spark Connect, `[mlflow]` that
of MLflow.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

BASE = [
    "numpy>=1.26",
    "pandas>=2.2,<3",
    "pyarrow>=14.0.1",  # 14.0.0 and earlier run code found in a Parquet file (CVE-2023-47248)
    "pydantic>=2.7,<3",
    "PyYAML>=6",
    "rich>=13",
    "safetensors>=0.4",
    "scipy>=1.13",
    "numba>=0.61",
    "jinja2>=3.1",
]
SPARK = ["pyspark>=4.0.1,<4.1", "delta-spark>=4.0.1,<4.1"]
TORCH = [
    "torch>=2.4,<2.13",  # 2.13 needs a setuptools that petastorm cannot use
    "petastorm>=0.13.1,<0.14",
    "numpy<2",  # petastorm uses names that numpy 2 removed
    "pyarrow<15",  # petastorm uses classes that pyarrow 15 removed
    "setuptools>=66.1,<70",  # petastorm uses distutils, which Python 3.12 has only from setuptools
]
CLI = ["deltalake>=1.6,<2"]
CONNECT = ["grpcio>=1.67", "grpcio-status>=1.67", "googleapis-common-protos>=1.65"]
MLFLOW = ["mlflow-skinny>=3,<4", "SQLAlchemy>=2", "alembic>=1.10"]  # the latter two for a database without a server
TEST = [
    "duckdb>=1.4",
    "hypothesis>=6.100",
    "mypy>=1.15",
    "polars>=1.30",
    "pandas-stubs>=2.2,<3",
    "pytest>=8",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "ruff>=0.12",
    "scikit-learn>=1.5",
    "types-PyYAML",
]


def version() -> str:
    """Read the version of the package without importing it.

    The dependencies of the import are not installed yet.
    """
    text = Path("recsys_spark/__init__.py").read_text(encoding="utf-8")
    return str(re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)[0])


def commands() -> list[str]:
    """Return the console scripts: `recsys`, and one for each file in jobs/."""
    jobs = sorted(file.stem for file in Path("jobs").glob("[!_]*.py"))
    own = [f"recsys-{job.replace('_', '-')} = recsys_spark.jobs.{job}:entry_point" for job in jobs]
    return ["recsys = recsys_spark.interface.commands:entry_point", *own]


setup(
    name="recsys_spark",
    version=version(),
    description="Batch recommender for play logs on Spark",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.13",
    packages=[*find_packages(include=["recsys_spark", "recsys_spark.*"]), "recsys_spark.jobs"],
    package_dir={"recsys_spark.jobs": "jobs"},
    package_data={"recsys_spark": ["py.typed", "resources/*", "resources/item_map/*", "resources/report/*"]},
    install_requires=BASE,
    extras_require={
        "spark": SPARK,
        "torch": TORCH,
        "cli": CLI,
        "connect": CONNECT,
        "mlflow": MLFLOW,
        "test": [*SPARK, *TORCH, *CLI, *CONNECT, *MLFLOW, *TEST],
    },
    entry_points={"console_scripts": commands()},
)

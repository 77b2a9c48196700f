"""Checks of the environment; each returns what was found and the remedy."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import RecsysError
from recsys_spark.core.libraries import install_command
from recsys_spark.core.paths import local_path
from recsys_spark.runtime.class_archive import archive_file, archive_option
from recsys_spark.runtime.delta_jars import invalid_jars, pinned_jars

__all__ = [
    "Check",
    "check_class_archive",
    "check_delta_jars",
    "check_disk",
    "check_gpu",
    "check_java",
    "check_libraries",
    "check_mlflow",
    "check_petastorm",
    "check_python",
    "check_roots",
    "check_spark_libraries",
    "check_spark_start",
    "check_torch",
    "failed",
    "ok",
]

PYTHONS, JAVAS = ((3, 11), (3, 12)), (17, 21)
LIBRARIES = ("numpy", "pandas", "pyarrow", "pydantic", "PyYAML", "rich", "safetensors", "scipy", "numba")
# Free bytes below which a disk is full for a small run, and for most runs.
FULL, SCARCE = 1 << 30, 10 << 30


@dataclass(frozen=True)
class Check:
    """Result of a check; `remedy` is empty where nothing is to be done."""

    name: str
    state: Literal["ok", "warning", "failed"]
    found: str
    remedy: str = ""


def ok(name: str, found: str) -> Check:
    """Return a passed check."""
    return Check(name, "ok", found)


def failed(name: str, found: str, remedy: str) -> Check:
    """Return a failed check."""
    return Check(name, "failed", found, remedy)


def check_python() -> Check:
    """Check the version of Python."""
    found = sys.version.split()[0]
    if sys.version_info[:2] in PYTHONS:
        return ok("python", found)
    return failed("python", found, "make the environment with Python 3.11 or 3.12")


def check_libraries() -> Check:
    """Check that the libraries of every job are installed; list their versions."""
    versions = {name: _version(name) for name in LIBRARIES}
    missing = [name for name, number in versions.items() if number is None]
    if missing:
        return failed(
            "libraries", f"not installed: {', '.join(missing)}", "install the package again with its dependencies"
        )
    return ok("libraries", ", ".join(f"{name} {number}" for name, number in versions.items()))


def check_spark_libraries() -> Check:
    """Check that pyspark and delta-spark are installed."""
    return _check_installed("spark", ("pyspark", "delta-spark"), "failed", "spark")


def check_torch() -> Check:
    """Check that torch is installed; only networks need it."""
    return _check_installed("torch", ("torch",), "warning", "torch")


def check_petastorm() -> Check:
    """Check that petastorm can be imported with the other libraries here; only networks need it."""
    check = _check_installed("petastorm", ("petastorm",), "warning", "torch")
    if check.state == "ok":
        try:
            import_module("petastorm")
        except Exception as error:  # Versions that do not fit together fail in many ways.
            return Check("petastorm", "warning", f"cannot be imported: {error}", f"run {install_command('torch')}")
    return check


def check_mlflow(config: BaseConfig | None) -> Iterator[Check]:
    """Check that the client of MLflow is installed where mlflow.tracking_uri is set."""
    if config is not None and config.mlflow.tracking_uri is not None:
        yield _check_installed("mlflow", ("mlflow-skinny",), "failed", "mlflow")


def check_java() -> Check:
    """Check the version of the Java that Spark starts."""
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else "java"
    remedy = "install JDK 17 or 21 and put it on PATH or in JAVA_HOME"
    try:
        done = subprocess.run([program, "-version"], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return failed("java", f"{program} does not start", remedy)
    number = re.search(r'version "((\d+)[^"]*)"', done.stderr + done.stdout)
    if number is None:
        return failed("java", f"{program} states no version", remedy)
    return ok("java", number[1]) if int(number[2]) in JAVAS else failed("java", number[1], remedy)


def check_delta_jars() -> Check:
    """Check that Spark has the pinned Delta jars."""
    pyspark = find_spec("pyspark")
    if pyspark is None or pyspark.origin is None:
        return failed("delta jars", "there is no pyspark to hold them", f"run {install_command('spark')}")
    invalid = invalid_jars(Path(pyspark.origin).parent / "jars", pinned_jars())
    if invalid:
        remedy = "run python -m recsys_spark.runtime.delta_jars"
        return failed("delta jars", f"missing or changed: {', '.join(invalid)}", remedy)
    return ok("delta jars", ", ".join(pinned_jars()))


def check_class_archive() -> Check:
    """State whether the JVM maps its classes from an archive; jobs run without one too."""
    if archive_option():
        return ok("java classes", f"mapped from {archive_file()}")
    return ok("java classes", "loaded at each start; python -m recsys_spark.runtime.class_archive halves the start")


def check_gpu() -> Check:
    """State the GPUs; networks train on the CPU without one."""
    if find_spec("torch") is None:
        return ok("gpu", "not checked without torch")
    torch = import_module("torch")
    names = (
        [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    )
    return ok("gpu", ", ".join(names) or "none: networks train on the CPU")


def check_disk(config: BaseConfig | None) -> Iterator[Check]:
    """Check the free space of the roots and of the folder of temporary files."""
    for name, folder in {**_roots(config), "temporary": Path(tempfile.gettempdir())}.items():
        free = shutil.disk_usage(_existing(folder)).free
        found = f"{free / (1 << 30):.1f} GiB free at {folder}"
        if free >= SCARCE:
            yield ok(f"disk {name}", found)
        else:
            yield Check(
                f"disk {name}", "failed" if free < FULL else "warning", found, "make room, or choose another disk"
            )


def check_roots(config: BaseConfig | None) -> Iterator[Check]:
    """Check that tables.root and files.root can be written; nothing is created there."""
    for name, folder in _roots(config).items():
        try:
            with tempfile.TemporaryFile(dir=_existing(folder)):
                yield ok(f"{name}.root", f"{folder} can be written")
        except OSError as error:
            yield failed(
                f"{name}.root", f"{folder} cannot be written: {error.strerror}", f"set {name}.root to another folder"
            )


def check_spark_start(config: BaseConfig) -> Check:
    """Start a small session and count a few rows."""
    from recsys_spark.runtime.session import spark_session

    small = config.model_copy(
        update={"spark": config.spark.model_copy(update={"master": "local[1]", "driver_memory": "1g"})}
    )
    clock = time.monotonic()
    try:
        with spark_session(small) as spark:
            spark.range(10).count()
            number = spark.version
    except RecsysError as error:
        return failed("spark start", str(error), "follow the message; the log of Spark has the details")
    return ok("spark start", f"Spark {number} started and counted in {time.monotonic() - clock:.1f} s")


def _check_installed(name: str, packages: tuple[str, ...], state: Literal["warning", "failed"], extra: str) -> Check:
    versions = {package: _version(package) for package in packages}
    missing = [package for package, number in versions.items() if number is None]
    if missing:
        return Check(name, state, f"not installed: {', '.join(missing)}", f"run {install_command(extra)}")
    return ok(name, ", ".join(f"{package} {number}" for package, number in versions.items()))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _roots(config: BaseConfig | None) -> dict[str, Path]:
    """Return the local roots of a configuration by name."""
    if config is None:
        return {}
    uris = {"tables": config.tables.root, "files": config.files_root}
    folders = {name: local_path(uri) for name, uri in uris.items() if uri}
    return {name: folder for name, folder in folders.items() if folder is not None}


def _existing(folder: Path) -> Path:
    """Return the nearest parent that exists."""
    return next(parent for parent in (folder, *folder.parents) if parent.exists())

"""Registry of all jobs: their declarations are read without Spark."""

from importlib import import_module
from pkgutil import iter_modules

import recsys_spark.jobs
from recsys_spark.runtime.job import Job

__all__ = ["all_jobs", "command_name", "find_job", "job_names"]


def job_names() -> list[str]:
    """Return the names of all jobs, one a file of the folder of jobs."""
    return sorted(module.name for module in iter_modules(recsys_spark.jobs.__path__))


def find_job(name: str) -> Job:
    """Return the declaration of a job."""
    job: Job = import_module(f"recsys_spark.jobs.{name}").job
    return job


def all_jobs() -> list[Job]:
    """Return the declarations of all jobs, by name."""
    return [find_job(name) for name in job_names()]


def command_name(job: str) -> str:
    """Return the name of a job as a command of `recsys`."""
    return job.replace("_", "-")

# `make run` and `make test` install their dependencies into .venv on the first call. They need Python and a JDK.

# The first suitable one is used; `make run PYTHON=/path/to/python3.11` sets another.
PYTHON := python3.11 python3.12 python3
# Additional arguments, as in `make run ARGS="--help"` or `make test ARGS="-k shards"`.
ARGS :=
# Parallel processes of the fast tests, each with its own Spark session (3 GB).
WORKERS := 3
# Folder of the public data sets of `make reproduce`.
DATA :=

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
UV := --python $(BIN)/python

# The name of a stamp has the checksum of all files that determine the installation, and of its place. File times are not
# used, because a clone, a checkout or a copy changes them.
SOURCES := requirements/uv.lock requirements/run.lock requirements/test.lock setup.py pyproject.toml \
	recsys_spark/runtime/delta_jars.py recsys_spark/resources/delta-jars.sha256
SUM := $(shell (echo '$(CURDIR) $(sort $(wildcard jobs/*.py))'; cat $(SOURCES)) | cksum | cut -d ' ' -f 1)
TEST_READY := .venv/ready-test-$(SUM)
# An environment for tests is also used to run, and keeps the test dependencies.
RUN_READY := $(if $(wildcard .venv/ready-test-*),$(TEST_READY),.venv/ready-run-$(SUM))

# MkDocs has an environment of its own, so that the one of the jobs stays as it is.
DOCS_BIN := .venv-docs/bin
DOCS_READY := .venv-docs/ready-$(shell (echo '$(CURDIR)'; cat requirements/docs.lock) | cksum | cut -d ' ' -f 1)

# So have Airflow and the SDK of Databricks, which check deploy/.
DEPLOY_BIN := .venv-deploy/bin
DEPLOY_READY := .venv-deploy/ready-$(shell (echo '$(CURDIR)'; cat requirements/deploy.lock) | cksum | cut -d ' ' -f 1)

# So has dbt, which checks the sources of deploy/dbt.
DBT_BIN := .venv-dbt/bin
DBT_READY := .venv-dbt/ready-$(shell (echo '$(CURDIR)'; cat requirements/dbt.lock) | cksum | cut -d ' ' -f 1)

# These variables would select another Spark or other packages than the locked ones.
unexport SPARK_HOME PYTHONHOME PYTHONPATH PYSPARK_SUBMIT_ARGS
export PYSPARK_PYTHON := $(CURDIR)/$(BIN)/python
export UV_HTTP_TIMEOUT ?= 300

.DEFAULT_GOAL := help
.PHONY: help run reproduce test test-slow check check-deploy check-dbt gpu-check docs peers wheel lock jdk

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F '|' '{ printf "%-20s%s\n", $$1, $$2 }'

run: jdk $(RUN_READY) ## run the whole pipeline on a generated sample
	$(BIN)/python jobs/run_pipeline.py --config conf/local.yaml $(ARGS)

reproduce: jdk $(RUN_READY) ## reproduce published results on the data sets below DATA=folder
	$(BIN)/python jobs/reproduce.py --config conf/reproduce.yaml --reproduce.data "$(DATA)" $(ARGS)

# Tests without Spark run first. pytest ends with 5 when ARGS selects no test: an error if both calls do.
test: jdk check ## check, then all tests except the slow ones
	$(BIN)/python -m pytest -m "not slow and not spark" -n 2 --dist loadfile $(ARGS); first=$$?; \
	[ $$first -eq 0 ] || [ $$first -eq 5 ] || exit $$first; \
	$(BIN)/python -m pytest -m "spark and not slow" -n $(WORKERS) --dist loadfile $(ARGS); second=$$?; \
	[ $$first -eq 0 ] && [ $$second -eq 5 ] || exit $$second

test-slow: jdk $(TEST_READY) ## only the slow tests
	$(BIN)/python -m pytest -m slow $(ARGS)

check: $(TEST_READY) ## lint, format and types
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m tests.docstrings
	$(BIN)/python -m mypy

check-deploy: $(DEPLOY_READY) $(TEST_READY) ## deploy/ with Airflow and the SDK of Databricks; the first call fetches them
	$(BIN)/python -m pytest tests/system/test_deploy_tools.py $(ARGS)

check-dbt: $(DBT_READY) $(TEST_READY) ## deploy/dbt with dbt on DuckDB; the first call fetches both
	$(BIN)/python -m pytest tests/system/test_dbt.py $(ARGS)

gpu-check: $(TEST_READY) ## training on one GPU against the CPU, and its speed; ARGS="--device cpu --scale small" without one
	$(BIN)/python -m tests.gpu_check $(ARGS)

docs: $(DOCS_READY) ## site/: the pages of docs/ as a site; the first call fetches MkDocs into .venv-docs
	NO_MKDOCS_2_WARNING=1 $(DOCS_BIN)/mkdocs build --strict --quiet

peers: $(RUN_READY) ## create .venv-peers with the libraries that the benchmark compares with
	$(BIN)/uv venv --quiet --python $(BIN)/python --clear .venv-peers
	$(BIN)/uv pip install --python .venv-peers/bin/python -r requirements/peers.in

wheel: $(RUN_READY) ## build dist/recsys_spark-*.whl
	rm -rf build dist/recsys_spark-*.whl
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/recsys_spark-*.whl

lock: $(RUN_READY) ## resolve requirements/*.in again; ARGS=--upgrade takes newer versions
	for kind in uv run test docs deploy dbt; do $(BIN)/uv pip compile --quiet requirements/$$kind.in -o requirements/$$kind.lock \
	--universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" \
	$(ARGS) || exit 1; done

# An environment without a stamp is incomplete and is created again; one with a stamp is updated. pip replaces uv where
# only pip is configured for a mirror or a certificate. Both compile the packages to bytecode: without it every process,
# including each worker of Spark, would parse pandas and torch again where Python cannot write bytecode files.
.venv/ready-%-$(SUM): | jdk
	@$(if $(shell ls .venv/ready-* 2>/dev/null && $(BIN)/python -V 2>/dev/null),rm -f .venv/ready-*,$(make_venv))
	@echo "Installing the locked dependencies; the first call downloads several gigabytes."
	@$(PIP) install --quiet --require-hashes -r requirements/uv.lock
	@$(BIN)/uv pip sync $(UV) --compile-bytecode --require-hashes --build-constraints requirements/run.lock \
	requirements/$*.lock || $(PIP) install --no-deps --require-hashes -r requirements/$*.lock
	@$(BIN)/uv pip install $(UV) --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m recsys_spark.runtime.delta_jars
	@touch $@

$(DOCS_READY): | $(RUN_READY)
	@$(BIN)/uv venv --quiet --python $(BIN)/python --clear .venv-docs
	@$(BIN)/uv pip sync --quiet --python $(DOCS_BIN)/python --require-hashes requirements/docs.lock
	@touch $@

$(DEPLOY_READY): | $(RUN_READY)
	@$(BIN)/uv venv --quiet --python $(BIN)/python --clear .venv-deploy
	@$(BIN)/uv pip sync --quiet --python $(DEPLOY_BIN)/python --require-hashes requirements/deploy.lock
	@touch $@

$(DBT_READY): | $(RUN_READY)
	@$(BIN)/uv venv --quiet --python $(BIN)/python --clear .venv-dbt
	@$(BIN)/uv pip sync --quiet --python $(DBT_BIN)/python --require-hashes requirements/dbt.lock
	@touch $@

FITS := import ensurepip, sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))
python = $(shell for p in $(PYTHON); do if "$$p" -c '$(FITS)' >/dev/null 2>&1; then echo "$$p"; break; fi; done)
make_venv = $(or $(python),$(error Python 3.11 or 3.12 with the venv module was not found among "$(PYTHON)": \
	install it (apt install python3.11-venv, brew install python@3.11) or set PYTHON=/path/to/python3.11)) \
	-m venv --clear .venv

# Spark uses the java of JAVA_HOME, and without JAVA_HOME the one on PATH.
JAVA := $(if $(JAVA_HOME),$(JAVA_HOME)/bin/)java
java_version = $(shell { "$(JAVA)" -version; } 2>&1 | sed -n 's/.* version "\([^"]*\)".*/\1/p')
jdk:
	$(if $(filter 17 17.% 17-% 21 21.% 21-%,$(java_version)),,$(error JDK 17 or 21 is needed, and $(JAVA) is \
	$(or $(java_version),missing): install one (apt install openjdk-17-jdk-headless, or 21; brew install openjdk@17) \
	and put it on PATH or in JAVA_HOME))

# The two that matter: `make demo` and `make test`. Each sets up all that it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := PYTHONPATH=hack $(BIN)/python

# About half of the unit tests, by the time that they take.
FIRST := tests/unit/core tests/unit/api tests/unit/simulate tests/unit/cli

# What was compiled is kept: many processes load the same modules.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup plane binaries quickstart demo demo-autoscale demo-clusters test test-unit test-cluster lint crds bench bench-sizing bench-gateway \
	bench-rollout bench-autoscale bench-placement bench-simulate bench-clusters cluster clean e2e-kind docs dashboards dashboards-shown soak reliability upgrade fuzz

help: ## Show this help.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: $(VENV)/ready ## Install the Python packages into .venv.

$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("inferops needs Python 3.11 or later; this is " + sys.version) if sys.version_info < (3, 11) else None'
	@echo "==> installing the Python packages into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -q -c constraints.txt -e '.[dev]'
	@touch $@

plane: $(VENV)/ready
	@$(RUN) -m controlplane build

binaries: plane # and the tools by which the tests check us: Helm, Prometheus and others
	@$(RUN) -m fieldtools build

quickstart: plane ## All of it running with a service under traffic, for docs/quickstart.md; Ctrl-C ends it.
	@$(RUN) hack/quickstart.py

demo: plane ## Real control plane, operator, kubectl apply, traffic. KEEP=1 leaves it running.
	@$(RUN) hack/demo.py $(if $(KEEP),--keep)

test: binaries ## Lint and all tests: lint and the unit tests in what time the cluster tests leave.
	@echo "==> lint and unit tests, at low priority beside the cluster tests"
	@log=$$(mktemp); nice -n 10 sh -c '$(MAKE) --no-print-directory lint && $(BIN)/python -m pytest -q tests/unit tests/simulation' > $$log 2>&1 & \
	unit=$$!; trap 'kill $$unit 2> /dev/null' INT TERM; \
	$(MAKE) --no-print-directory test-cluster; cluster=$$?; \
	wait $$unit; unit=$$?; echo "==> lint and unit tests"; cat $$log; rm -f $$log; exit $$((unit > cluster ? unit : cluster))

test-unit: binaries ## Pure tests, in seconds.
	@echo "==> unit tests (two processes)"
	@$(BIN)/python -m pytest -q $(FIRST) & first=$$!; \
	$(BIN)/python -m pytest -q tests/unit tests/simulation $(FIRST:%=--ignore %); second=$$?; wait $$first && exit $$second

test-cluster: binaries ## Tests against real API servers.
	@echo "==> cluster tests (real control planes, each in a network namespace of its own)"
	@$(RUN) hack/cluster_tests.py

lint: $(VENV)/ready ## ruff, mypy, import contracts, generated files.
	@echo "==> lint"
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@MYPYPATH=operator:hack $(BIN)/mypy --strict hack/controlplane hack/fieldtools hack/kind hack/nodeagent hack/*.py
	@PYTHONPATH=operator $(BIN)/lint-imports
	@$(BIN)/python hack/crds.py --check
	@$(BIN)/python hack/cli_reference.py --check
	@$(BIN)/python hack/dashboards.py --check
	@$(BIN)/python hack/metric_reference.py --check
	@$(BIN)/python hack/chart.py --check

crds: $(VENV)/ready ## Generate crds/, docs/reference and the chart's copies and README.
	@$(BIN)/python hack/crds.py
	@$(BIN)/python hack/cli_reference.py
	@$(BIN)/python hack/chart.py

dashboards: $(VENV)/ready ## Generate charts/inferops/dashboards and docs/reference/metrics.md from the code.
	@$(BIN)/python hack/dashboards.py
	@$(BIN)/python hack/metric_reference.py

dashboards-shown: binaries ## Every panel on a real Prometheus fed by a run of minutes; draws docs/pictures.
	@$(RUN) hack/dashboard_pictures.py

docs: $(VENV)/docs ## The documentation as a site, in build/docs; a link that leads nowhere fails.
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict -q

$(VENV)/docs: $(VENV)/ready
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -q -c constraints.txt -e '.[docs]'
	@touch $@

bench: plane ## 1000 InferenceServices: speed, memory, silence. Prints figures.
	@$(RUN) hack/bench_scale.py

bench-sizing: $(VENV)/ready ## Predicted speed beside measured and the peer's, whole models held out.
	@$(RUN) hack/bench_sizing.py

bench-gateway: $(VENV)/ready ## What the gateway adds to a request, beside a router written in Rust.
	@$(RUN) hack/bench_gateway.py

bench-rollout: $(VENV)/ready ## Rollouts in virtual time: false rollbacks, missed regressions, requests hurt, beside peers.
	@$(RUN) hack/bench_rollout.py $(if $(SEEDS),--seeds $(SEEDS)) $(if $(JSON),--json $(JSON))

bench-autoscale: $(VENV)/ready ## GPU hours at equal SLO attainment, beside other autoscalers. TRACES=folder [QUICK=1] [JOBS=]
	@$(RUN) hack/bench_autoscale.py $(if $(TRACES),--traces $(TRACES)) $(if $(QUICK),--quick) $(if $(JOBS),--jobs $(JOBS))

bench-placement: $(VENV)/ready ## What placement over clusters costs beside a solver's optimum, and how long it takes.
	@$(RUN) hack/bench_placement.py

bench-simulate: $(VENV)/ready ## How fast the simulator is, and how far from theory, measurements and real time.
	@$(RUN) hack/bench_simulate.py

bench-clusters: plane ## 1000 services on 50 member clusters, 5 of them dead: speed, memory, silence.
	@$(RUN) hack/bench_clusters.py

soak: plane ## Churn, faults and traffic for MINUTES=20, and whether anything grows or is lost. [SEED=] [JSON=]
	@$(RUN) hack/soak.py $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(if $(JSON),--json $(JSON))

reliability: binaries ## Long tests: API server away (MINUTES=5), 429, an old backup, uninstall in ORDERS=8 orders; upgrade.
	@MINUTES=$(MINUTES) ORDERS=$(ORDERS) $(RUN) -m pytest -v -W default::pytest.PytestUnraisableExceptionWarning tests/reliability
	@$(MAKE) --no-print-directory upgrade

upgrade: plane ## From an earlier version (FROM=tag or commit) to this one and back, under traffic.
	@$(RUN) hack/upgrade.py $(if $(FROM),--from $(FROM))

fuzz: plane ## Hostile resources against a real API server and what we make of them. [MINUTES=5]
	@FUZZ_MINUTES=$(or $(MINUTES),5) $(RUN) -m pytest -q tests/cluster/test_fuzz.py

demo-autoscale: plane ## Replicas under a changing load on the real control plane, minutes; draws docs/pictures.
	@$(RUN) hack/demo_autoscale.py

demo-clusters: plane ## One service over three clusters: placed, one cut off, back, rolled out wave by wave.
	@$(RUN) hack/demo_clusters.py

e2e-kind: $(VENV)/ready ## Image, chart, requests, a canary and a rollback on kind. Needs docker, kind, kubectl and helm.
	@$(RUN) -m kind

cluster: plane ## A shell with kubectl in a running control plane.
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(RUN) -m controlplane shell

clean: ## Remove what the build made here.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist

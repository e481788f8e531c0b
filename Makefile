# Each target sets up what it needs by itself; `make` alone says what there is.
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-scaling demo-kubernetes test e2e up down lint docs bench bench-scale soak explore kubelab

PYTHON := .venv/bin/python

# Processes are started by the hundred: where each had to compile what it imports, that would be most of the work.
unexport PYTHONDONTWRITEBYTECODE

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

setup: ## Install the locked dependencies and the binaries; at once when nothing changed
	@infra/setup/sync.sh

demo: setup ## Watch a spec become an endpoint, change, roll back and go away
	@exec $(PYTHON) -m libs.cli.demo

demo-scaling: setup ## Watch a deployment follow its load, up and down, and say why
	@exec $(PYTHON) -m libs.cli.demo.scaling

demo-kubernetes: setup ## The same demo with pods, on a real Kubernetes on this machine; as root on Debian
	@exec $(PYTHON) -m tests.support.kubelab.demo

up: setup ## Run the platform in the foreground until Ctrl-C
	@exec bin/specstream up

down: setup ## Stop everything of the home, replicas too
	@exec bin/specstream down

lint: setup ## Check format, lint, types and the architecture
	@echo '== format'
	@.venv/bin/ruff format --check .
	@echo '== lint'
	@.venv/bin/ruff check .
	@echo '== types'
	@.venv/bin/mypy
	@echo '== architecture'
	@.venv/bin/lint-imports

test: lint ## All checks, then all tests but those of whole platforms; ten minutes
	@echo '== tests'
	@# The Kubernetes of the tests takes minutes to build, once; those that need it come late, and wait for it.
	@$(PYTHON) -m tests.support.kubelab.binary >/dev/null 2>&1 &
	@# More at a time than there are cores: tests of real processes mostly wait.
	@$(PYTHON) -m pytest -q -n 4 --dist loadfile --ignore tests/e2e

e2e: setup ## The tests of whole platforms, by processes and on real nodes, with kills and faults; 20 minutes
	@echo '== tests of whole platforms'
	@exec $(PYTHON) -m pytest -q -n 3 --dist loadfile tests/e2e

docs: setup ## Write the parts of docs/reference that the code knows best
	@$(PYTHON) -m docs.generate
	@exec $(PYTHON) -m infra.grafana.generate

bench: setup ## Measure it, each figure beside the limit from the same run
	@exec $(PYTHON) -m benchmarks

bench-scale: setup ## Measure the long ones: with as much as years leave behind
	@exec $(PYTHON) -m benchmarks --scale

soak: setup ## The full matrix of kill tests, for SECONDS_LONG seconds (600)
	@exec $(PYTHON) -m tests.soak --seconds $(or $(SECONDS_LONG),600)

explore: setup ## The tests of properties, with examples that nobody has tried yet
	@exec $(PYTHON) -m pytest -q -n 2 -m hypothesis --hypothesis-profile=others

kubelab: setup ## A Kubernetes with simulated GPU nodes in the foreground; says where its kubeconfig is
	@exec $(PYTHON) -m tests.support.kubelab

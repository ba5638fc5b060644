# The one door. `make` or `make help` lists what it opens. Everything that is built stays outside the clone, in
# $SPRINGTIDE_CACHE, so that a second clone is warm.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export SPRINGTIDE_CACHE ?= $(HOME)/.cache/springtide
export CARGO_TARGET_DIR ?= $(SPRINGTIDE_CACHE)/target
export CARGO_INCREMENTAL ?= 0
# SF, NODES, CONTEXT, REGISTRY and REGISTRY_LOGIN reach the programs as make itself passes them on.
# The timeline counts from here, so that it shows the time of building, too.
export SPRINGTIDE_STARTED := $(shell date +%s)

E2E = $(CARGO_TARGET_DIR)/debug/springtide-e2e
# One selection of packages for every build: another one would build the dependencies again with other features.
PROGRAMS = cargo build --locked --workspace --bins

.PHONY: help demo demo-down standalone test scenario lint fmt generate images storage cluster-up cluster-down bench-query bench-start bench-operator soak-scalein soak-windows verify programs packages

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "  SF=0.1            scale of the demo's data (TPC-H; 1 is 6 million rows)"
	@echo "  NODES=2           nodes of the local Kubernetes"
	@echo "  CONTEXT=name      another Kubernetes: kind-*, k3d-*, or any with REGISTRY=host/path (REGISTRY_LOGIN=config.json)"
	@echo "  DATA=folder       where standalone keeps its data"

demo: programs ## A department's cluster on a real Kubernetes, from nothing to queries and a pre-scaled peak
	@$(E2E) demo $(if $(DRY_RUN),--dry-run)

demo-down: ## Remove what the demo made
	@if [ -n "$(CONTEXT)" ]; then $(MAKE) programs && $(E2E) demo-down; else e2e/kubernetes/down; fi

standalone: ## The engine alone on a local folder: no root, no Kubernetes
	@cargo build --locked --workspace --bins
	@$(CARGO_TARGET_DIR)/debug/springtide-engine standalone --data "$(or $(DATA),$(SPRINGTIDE_CACHE)/standalone)"

test: ## All tests, from pure to whole cluster, and a summary
	@e2e/test

scenario: ## One scenario on a cluster that is up, with its timeline (NAME=; without it, a list)
	@e2e/scenario $(NAME)

lint: ## Formatting, clippy, dependencies' licences, spelling, charts, metrics and alerts, scripts
	@e2e/lint

verify: ## The longest way: a death after every write, long random walks, all time zones for ten years
	@e2e/verify

fmt: ## Format the Rust code
	@cargo fmt --all

generate: ## Write the CRDs' YAML and the API reference
	@cargo run --locked --quiet -p springtide-crds --bin generate-crds

images: programs ## Pack the images and bring them to the nodes
	@$(E2E) images $(if $(DRY_RUN),--dry-run)

storage: programs ## Start an S3 server in the local Kubernetes
	@$(E2E) storage

cluster-up: packages ## Start a Kubernetes on this machine
	@e2e/kubernetes/up $(or $(NODES),1)

cluster-down: ## Stop it and leave no trace of it
	@e2e/kubernetes/down

bench-query: programs ## TPC-H on the engine alone, beside DuckDB (SF=1)
	@$(E2E) bench query

bench-start: programs ## From a pod's creation to a node that serves, on the demo's cluster
	@$(E2E) bench start

soak-scalein: programs ## No statement fails in 1,000 scale-ins under load on two nodes (SCALE_INS=, HOURS=, SEED=)
	@$(E2E) soak scale-in

soak-windows: programs ## Compute is there before each of 20 windows in a row (WINDOWS=, NODES=)
	@$(E2E) soak windows

bench-operator: programs ## What the operator costs at 10, 100 and 1,000 ComputeGroups, on a real API server (GROUPS=)
	@e2e/kubernetes/build
	@cargo build --locked --workspace --example bench-operator
	@$(CARGO_TARGET_DIR)/debug/examples/bench-operator $(GROUPS)

programs: packages
	@$(PROGRAMS)

packages:
	@e2e/packages

# What people and CI run. Every target first sets up what it needs: .venv with the pinned requirements, and
# the real programs (etcd, kube-apiserver, ...), built once into a cache folder; `make parts` says where.
.DEFAULT_GOAL := help
.PHONY: help demo test chaos model model-joins stock nightly bench unit lint types layers fmt parts programs network kubeadm checkers browser shells screenshots requirements schemas clean
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.set-up
BINARIES := $(BIN)/python -m etcd_handoff.lab.binaries
BENCHES := removals "removals apart" takeover sizes load startup connections sandbox activity_cost fleet restart isolated dead_node replace catch_up
# Tests start hundreds of processes of the product; some images keep Python from storing what it has compiled.
export PYTHONDONTWRITEBYTECODE :=
PINS := requirements/base.txt requirements/dev.txt
UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements"

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

demo: programs ## remove the leader of a real three-member cluster on this machine (KEEP=1 leaves it running, K0S=1 isolates the nodes as k0s does)
	@$(BIN)/etcd-handoff demo $(if $(filter-out 0,$(KEEP)),--keep) $(if $(filter-out 0,$(K0S)),--k0s)

test: lint types layers network checkers browser shells ## everything that CI runs (ARGS=<arguments of pytest>)
	@$(BIN)/pytest -n 3 --dist loadgroup --no-loadscope-reorder $(ARGS)

unit: $(SETUP) ## the quick tests: no sockets, some minutes (ARGS=<arguments of pytest>)
	@$(BIN)/pytest -q tests/unit $(ARGS)

chaos: export ETCD_HANDOFF_LAB_ETCD := $(ETCD)
chaos: network ## the fault matrix on real processes, hours (CHAOS=<part of a name> or sample, ETCD=3.5, 3.6 or 3.7); writes bench/results
	@CHAOS=$(if $(CHAOS),$(CHAOS),all) $(BIN)/pytest -q tests/chaos/test_faults.py tests/chaos/test_changes.py tests/chaos/test_additions.py tests/chaos/test_commands.py tests/chaos/test_memberships.py -p no:cacheprovider

model: programs ## nearly all scenarios of the loop's model, half an hour; make test runs a share of them
	@MODEL=all $(BIN)/pytest -q -s --show-capture=no tests/model

model-joins: $(SETUP) ## the models of additions and replacements as a whole, some two hours; make test runs a share of them
	@MODEL=all $(BIN)/pytest -q -n auto tests/unit -k meddling

stock: kubeadm ## the tests on the distributions' own programs: kubeadm, and k0s where it is on PATH
	@STOCK=1 $(BIN)/pytest -q tests/stock -p no:cacheprovider $(ARGS)

nightly: network kubeadm ## make model, model-joins, stock and chaos (CHAOS=sample unless given, or all); writes what ran on which source to bench/results
	@$(BIN)/python -m bench.nightly $(if $(CHAOS),$(CHAOS),sample)

bench: programs ## all measurements, some two hours (ROUNDS=<n> makes it shorter, BENCH=<name> picks one); writes bench/results
	@for name in $(if $(BENCH),"$(BENCH)",$(BENCHES)); do $(BIN)/python -m bench.$$name $(ROUNDS) || exit 1; done

lint: $(SETUP) ## style, as pyproject.toml has it
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { echo "some files are not formatted: run make fmt" >&2; exit 1; }

types: $(SETUP) ## mypy, strict
	@$(BIN)/mypy --no-error-summary $(wildcard etcd_handoff workflows activities worker.py tests bench docs/examples/scripts)

layers: $(SETUP) ## who may import whom, as .importlinter has it
	@out=$$($(BIN)/lint-imports 2>&1) || { echo "$$out" >&2; exit 1; }

fmt: $(SETUP) ## format, and fix what ruff can
	@$(BIN)/ruff check --quiet --fix-only
	@$(BIN)/ruff format --quiet

parts: $(SETUP) ## build the programs that the lab lacks, and print where all of them are
	@$(BINARIES)

programs: $(SETUP)
	@$(BINARIES) >/dev/null

network: $(SETUP)
	@$(BINARIES) --network >/dev/null

checkers: $(SETUP)
	@$(BINARIES) --checkers >/dev/null

kubeadm: $(SETUP)
	@$(BINARIES) --kubeadm >/dev/null

# Chromium is no Python package and is not built: whoever wants the Web UI looked at installs it.
browser:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	echo "note: no Chromium on PATH, so nobody looks at the Web UI: its tests are skipped, and fail where CI is set." \
		"Remedy: apt-get install chromium" >&2

shells:
	@for name in zsh fish; do command -v $$name >/dev/null || \
	echo "note: no $$name on PATH, so nobody reads its completion: its tests are skipped, and fail where CI is set and" \
		"could install it. Remedy: apt-get install $$name" >&2; done

screenshots: programs browser ## take the pictures in docs/images again, of the Web UI in Chromium
	@SCREENSHOTS=docs/images $(BIN)/pytest -q tests/integration/test_web_ui.py

requirements: $(SETUP) ## compile the pins again after a change of the .in files (UPGRADE=1: to the newest versions)
	@for name in base dev go; do \
		echo "compiling requirements/$$name.txt" >&2; \
		$(UV_COMPILE) $(if $(filter-out 0,$(UPGRADE)),--upgrade) requirements/$$name.in -o requirements/$$name.txt >/dev/null || exit 1; \
	done

schemas: $(SETUP) ## make docs/schemas again, after a change of what commands print in JSON
	@$(BIN)/python -m etcd_handoff.cli.shapes.schemas docs/schemas

clean: ## remove .venv and every tool's cache; the built programs stay
	@rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last, so that a set-up cut short starts again.
$(SETUP): pyproject.toml $(PINS)
	@python=; without_venv=; \
	for candidate in python3.13 python3.12 python3.11 python3; do \
		$$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
		if $$candidate -c 'import venv, ensurepip' >/dev/null 2>&1; then python=$$candidate; break; fi; \
		without_venv="$$without_venv $$candidate"; \
	done; \
	if [ -z "$$python$$without_venv" ]; then \
		echo "error: no Python >= 3.11 on PATH. Remedy: install one, such as the packages python3 and python3-venv." >&2; \
		exit 1; \
	fi; \
	if [ -z "$$python" ]; then \
		echo "error: no venv or ensurepip module in:$$without_venv. Remedy: install the package python3-venv." >&2; \
		exit 1; \
	fi; \
	echo "setting up .venv with $$($$python --version) and the pinned requirements: about half a minute" >&2; \
	start=$$(date +%s); \
	$$python -m venv --clear $(VENV) && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . && \
	echo "set up .venv in $$(($$(date +%s) - start)) s" >&2 && \
	touch $@

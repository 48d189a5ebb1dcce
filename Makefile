# Nave: every task of the project. Each target sets up what it needs; `make help` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

CARGO ?= cargo
TOOLS := $(CURDIR)/.cache/tools
TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
NAVE := $(TARGET)/release/nave

# Extra arguments: `make demo ARGS="--port 9190"`, `make test ARGS="-p nave-wal"`.
ARGS ?=

# Where the benchmark works and leaves its results; scripts/bench has the sizes (BENCH_SERIES ...).
BENCH_WORK ?= $(CURDIR)/bench/runs
# Kinds of measurement; all of the profile when empty.
BENCH_KINDS ?=

# Time for each fuzz target.
FUZZ_SECONDS ?= 60

.PHONY: help demo test test-ui build ui ui-if-node check bench fuzz peers format setup clean
.PHONY: check-format check-lint check-doc check-deny check-edges check-shell check-index check-bench check-ui

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14
	@echo
	@echo "Knobs of make bench and make fuzz:"
	@grep -hE '^(BENCH|FUZZ)_[A-Z_]+ \?=' $(MAKEFILE_LIST) | sed -E 's/^/  /; s/ \?= /=/'
	@sed -nE 's/^set_default (BENCH_[A-Z_]+) +([^ ]+) +([^ ]+)$$/  \1=\2 (bench-full: \3)/p' scripts/bench

setup: ## Check that the toolchain is there (every target does).
	@command -v $(CARGO) >/dev/null || { \
	  echo "cargo was not found. Nave is built with Rust $$(sed -nE 's/^channel = "(.*)"/\1/p' rust-toolchain.toml):" >&2; \
	  echo "install rustup, which then takes the release of rust-toolchain.toml by itself." >&2; exit 1; }
	@command -v cc >/dev/null || command -v gcc >/dev/null || { \
	  echo "no C compiler was found (cc or gcc); the cryptography library needs one. On Debian: apt-get install gcc." >&2; exit 1; }
	@$(CARGO) --version >/dev/null || { \
	  echo "cargo does not start; rust-toolchain.toml asks for Rust $$(sed -nE 's/^channel = "(.*)"/\1/p' rust-toolchain.toml)." >&2; exit 1; }

demo: build ## Start a hub and two agents on this machine, until Ctrl-C.
	exec $(NAVE) demo $(ARGS)

build: setup ui-if-node ## Build the web UI and the release binary.
	$(CARGO) build --release --locked -p nave
	@echo "built $(NAVE)"

ui: ## Build the web UI, which the next cargo build takes in.
	@scripts/ui build

# Without Node the binary has a plain page that says so; where nothing may be left out that is a failure.
ui-if-node:
	@scripts/ui build || { status=$$?; \
	  if [ $$status != 3 ] || [ -n "$${CI:-}" ]; then exit $$status; fi; \
	  echo "make: THE BINARY WILL HAVE NO WEB UI, for want of Node" >&2; }

test: setup ui-if-node ## Run all tests, end to end with the real peers and in a real browser included.
	@CARGO="$(CARGO)" scripts/test $(ARGS)
ifeq ($(strip $(ARGS)),)
	@$(MAKE) --no-print-directory test-ui
endif

test-ui: setup ## Run the tests of the web UI in a real browser.
	@CARGO="$(CARGO)" scripts/ui test || { status=$$?; \
	  if [ $$status != 3 ] || [ -n "$${CI:-}" ]; then exit $$status; fi; \
	  echo "SKIPPED: the web UI is not tested, for want of Node" >&2; }

check: check-shell check-index check-format check-edges check-lint check-doc check-deny check-bench check-ui ## Everything that is checked without running Nave.
	@echo "check: all passed"

check-format: setup
	$(CARGO) fmt --all --check
	cd bench && $(CARGO) fmt --check
	cd fuzz && $(CARGO) fmt --check

check-lint: setup
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

check-doc: setup
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --quiet

check-edges: setup
	$(CARGO) test --locked --quiet -p nave --test edges

check-deny: setup
	@deny="$$(command -v cargo-deny || true)"; \
	if [ -z "$$deny" ]; then \
	  deny=$(TOOLS)/bin/cargo-deny; \
	  [ -x "$$deny" ] || $(CARGO) install cargo-deny --locked --root $(TOOLS); \
	fi; \
	"$$deny" check --hide-inclusion-graph bans licenses sources

check-shell:
	@for script in scripts/* .ci/run; do bash -n "$$script"; done

check-index:
	@for page in docs/decisions/[0-9]*.md; do \
	  grep -q "($${page##*/})" docs/decisions/README.md || { echo "$$page is not in docs/decisions/README.md" >&2; exit 1; }; \
	done

check-ui:
	@scripts/ui check || { status=$$?; \
	  if [ $$status != 3 ] || [ -n "$${CI:-}" ]; then exit $$status; fi; \
	  echo "SKIPPED: the web UI is not checked, for want of Node" >&2; }

check-bench: setup
	cd bench && CARGO_TARGET_DIR=target $(CARGO) clippy --all-targets --locked --quiet -- -D warnings
	cd bench && CARGO_TARGET_DIR=target $(CARGO) test --locked --quiet

peers: ## Unpack the real Prometheus, vmagent, node_exporter and Alertmanager for tests and benchmark.
	@scripts/peers

bench: build ## Measure Nave beside its peers, every kind, small; under ten minutes.
	@NAVE_BIN=$(NAVE) BENCH_WORK=$(BENCH_WORK) CARGO="$(CARGO)" scripts/bench quick $(BENCH_KINDS)

bench-full: build ## The same at the sizes of the project's targets; hours, on a quiet machine.
	@NAVE_BIN=$(NAVE) BENCH_WORK=$(BENCH_WORK) CARGO="$(CARGO)" scripts/bench full $(BENCH_KINDS)

bench-doc: setup ## Put the results of the last benchmark into docs/benchmarks.md.
	@BENCH_WORK=$(BENCH_WORK) CARGO="$(CARGO)" scripts/bench-doc $(ARGS)

fuzz: setup ## Run every fuzz target for FUZZ_SECONDS.
	@scripts/fuzz $(FUZZ_SECONDS)

format: setup ## Format all code.
	$(CARGO) fmt --all
	cd bench && $(CARGO) fmt
	cd fuzz && $(CARGO) fmt

clean: ## Remove what was built; caches stay.
	$(CARGO) clean
	rm -rf bench/target bench/runs

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

target := $(or $(CARGO_TARGET_DIR),target)
export CARGO_TARGET_DIR := $(abspath $(target))
export PATH := $(CARGO_TARGET_DIR)/tools/bin:$(PATH)
# Where dockerd's log is kept when a test fails.
export CI_WARM_ENGINE_LOG := $(CARGO_TARGET_DIR)/dockerd.log

# Always the whole workspace, so that no dependency is compiled twice with different features.
swarm_tests := $(patsubst e2e/tests/%.rs,--test %,$(sort $(wildcard e2e/tests/*.rs)))
TESTS ?= $(swarm_tests)
# A test on a Swarm mostly waits, so more run at once than there are cores.

.PHONY: help
help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build ci-warm-operator and ccctl
	cargo build --locked --workspace

.PHONY: release
release: ## Build both, optimised, into target/release
	cargo build --locked --release -p ci-warm

.PHONY: setup
setup: ## Install what the tests need and this machine lacks (Debian, root)
	scripts/setup.sh

.PHONY: test
test: setup ## Everything: lint, unit tests, then the tests on a real Swarm
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; status=0; \
	for part in lint unit e2e; do \
	    $(MAKE) --no-print-directory $$part 2>&1 | tee -i -a "$$log" || { status=1; break; }; \
	done; \
	awk '/^test result:/ { passed += $$4; failed += $$6; ignored += $$8 } \
	     END { printf "test: %d passed, %d failed, %d skipped\n", passed, failed, ignored; exit failed + ignored > 0 }' "$$log"; \
	exit $$status

.PHONY: lint
lint: ## Format, clippy, docs, licences, duplicates, sources
	scripts/setup.sh lint
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --quiet
	cargo deny --locked check bans licenses sources

.PHONY: unit
unit: ## The tests that need no engine
	cargo test --locked --workspace --exclude ci-warm-e2e

.PHONY: e2e
e2e: ## The tests on a real Swarm; one of them: make e2e TESTS='--test rig' ARGS='-- records'
	scripts/setup.sh engine
	cargo build --locked --workspace
	cargo test --locked --workspace $(swarm_tests) --no-run
	scripts/engine.sh run -- cargo test --locked --offline --workspace --no-fail-fast $(TESTS) $(or $(ARGS),-- --test-threads 6)

.PHONY: demo
demo: ## A failed upgrade undone before your eyes, on a Swarm of its own
	scripts/setup.sh engine
	cargo build --locked --workspace
	scripts/engine.sh run -- $(CARGO_TARGET_DIR)/debug/demo

.PHONY: mutants
mutants: ## Do the tests of the planner notice when it is changed? (long)
	scripts/setup.sh mutants
	cargo mutants --package ci-warm-rollout --output $(CARGO_TARGET_DIR)/mutants $(ARGS)

.PHONY: schemas
schemas: ## Write manifests/schemas/ from the Rust types
	cargo run --locked -q -p ci-warm-api-types --example schemas

.PHONY: clean
clean: ## Remove what was built
	cargo clean

# One entry for everything a developer does; CI calls the same.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
export PATH := $(CURDIR)/.tools/bin:$(PATH)
CARGO ?= cargo

.PHONY: help build release demo test test-long check fmt bench clean

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ —/'

build:  ## compiles mps, mps-server and mps-worker into target/debug
	@scripts/check-rust
	@scripts/install-packages build
	$(CARGO) build --locked --workspace --bins

release:  ## the same, optimised, into target/release
	@scripts/check-rust
	@scripts/install-packages build
	$(CARGO) build --locked --release --workspace --bins

demo:  ## one file in, processed files out: make demo [FILE=path]
	@scripts/check-rust
	@echo "make demo: installs missing system packages (GStreamer 1.22, Redis), builds (about 5 minutes the first time, no network the second), runs one task"
	@scripts/install-packages build
	@$(CARGO) build --locked --quiet --workspace --bins
	@FILE="$(FILE)" scripts/demo

test:  ## installs what tests need, runs all tests
	@scripts/check-rust
	@scripts/install-packages test
	@scripts/install-test-tools test
	$(CARGO) build --locked --workspace --bins
	@scripts/run-tests
	@scripts/test-report test

test-long:  ## the same with long repetitions and what is only slower, not different (MPS_LONG=1)
	MPS_LONG=1 $(MAKE) test

check:  ## fmt, clippy, doc, deny, machete, buf lint, dependency rules
	@scripts/check-rust
	@scripts/install-packages build
	@scripts/install-test-tools check
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --quiet --workspace --no-deps
	$(CARGO) run --locked --quiet -p xtask -- check-deps
	$(CARGO) run --locked --quiet -p xtask -- check-style
	@if [ -x .tools/bin/cargo-deny ]; then $(CARGO) fetch --locked --quiet; cargo-deny --offline --all-features check --hide-inclusion-graph licenses bans sources; fi
	@if [ -x .tools/bin/cargo-machete ]; then cargo-machete; fi
	@if [ -e .tools/bin/buf ]; then cd proto && buf lint; fi
	@scripts/test-report check

fmt:  ## formats the code
	$(CARGO) fmt --all

bench: release  ## prints ratios against ffmpeg and shaka-streamer and writes target/bench.json
	@scripts/install-packages test
	@scripts/install-test-tools bench
	$(CARGO) run --locked --release -p mps-tests --bin mps-bench

clean:  ## removes what was built
	$(CARGO) clean
	rm -rf .tools demo-output

# The everyday commands. Only make, Rust, Go and a C compiler are needed: the servers for demo and tests are built from
# source once, which takes some ten minutes on two cores, and kept in the user's cache folder.

CARGO ?= cargo
CARGO_DENY_VERSION := 0.20.2
DENY := $(CARGO) deny --locked --config .deny.toml
# Which servers the demo is about.
DEMO ?= hydra

.DEFAULT_GOAL := help
.PHONY: help demo test lint advisories generate bench

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Real Kubernetes API and Ory Hydra (or DEMO=vault, DEMO=trust) on this machine, the operator on top; stays until Ctrl-C
	$(if $(filter-out hydra vault trust,$(DEMO)),$(error DEMO=$(DEMO) is not known: it is hydra, the default, vault or trust))
	$(CARGO) build --locked
	$(CARGO) run --locked --bin testbed -- demo $(DEMO)

test: ## All tests, those against the real servers included
	$(CARGO) build --locked
	$(CARGO) test --workspace --locked

lint: ## Format, clippy, documentation, licences, chart
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --workspace --no-deps --locked
	$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-deny@$(CARGO_DENY_VERSION)
	$(DENY) check --hide-inclusion-graph licenses bans sources
	helm="$$($(CARGO) run --locked -q --bin testbed -- build --with helm | tail -n 1)" && \
		"$$helm" lint --strict charts/oidc-operator

advisories: ## Known vulnerabilities in dependencies, from the RustSec database on the network
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-deny@$(CARGO_DENY_VERSION)
	@$(DENY) fetch db || \
		{ echo 'Nothing was checked: the RustSec advisory database cannot be had from https://github.com/rustsec/advisory-db.' >&2; exit 1; }
	$(DENY) check --hide-inclusion-graph advisories

generate: ## Write crds/ and the chart's copies anew from the Rust types
	UPDATE=1 $(CARGO) test --locked --test generated

bench: ## What 1,000 and 10,000 clients cost, and how long one takes while others make trouble; some ten minutes
	$(CARGO) build --release --locked
	$(CARGO) run --release --locked --bin testbed -- bench

# Everyday commands. They need what `make tools` installs. The first run builds the servers for demo and tests
# from source, which takes about ten minutes on two cores, and keeps them in the user's cache folder.

TOOLS := tests/testbed/tools.sh
# Tools that are installed outside of PATH, and those that cargo installs.
FOUND := $(shell $(TOOLS) path)
export PATH := $(if $(FOUND),$(FOUND):)$(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin
CARGO ?= cargo
CARGO_DENY_VERSION := 0.20.2
MDBOOK_VERSION := 0.5.4
DENY := $(CARGO) deny --locked --config .deny.toml
# Name and tag of the image; by default localhost/oidc-operator with this version.
IMAGE ?=
# Servers that the demo runs: hydra, vault or trust.
DEMO ?= hydra

.DEFAULT_GOAL := help
.PHONY: help tools demo build test integrations lint docs advisories generate bench image

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

tools: ## Install what the other commands need and this machine lacks, with apt
	@$(TOOLS) install

demo: ## Real Kubernetes API and Ory Hydra (or DEMO=vault, DEMO=trust) on this machine, with the operator; runs until Ctrl-C
	$(if $(filter-out hydra vault trust,$(DEMO)),$(error DEMO=$(DEMO) is not known: it is hydra, the default, vault or trust))
	@$(TOOLS) check
	$(CARGO) build --locked
	$(CARGO) run --locked --bin testbed -- demo $(DEMO)

build: ## What the tests run: the operator, the servers, the tests themselves
	@$(TOOLS) check
	$(CARGO) build --locked
	$(CARGO) run --locked --bin testbed -- build --all
	$(CARGO) test --workspace --locked --no-run

test: build ## All tests, including those against the real servers
	$(CARGO) test --workspace --locked

integrations: ## The operator among Flux, Argo CD, Prometheus, applications and a browser, its image on a node, and all of Hydra v1; builds them first
	@$(TOOLS) check
	$(CARGO) build --locked
	$(CARGO) test --locked --test integrations
	$(CARGO) test --locked --test cluster -- node::
	$(CARGO) test --locked --test cluster -- hydra1::

lint: docs ## Format, clippy, documentation, licences, chart, workflows
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --workspace --no-deps --locked
	$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked --debug cargo-deny@$(CARGO_DENY_VERSION)
	$(DENY) check --hide-inclusion-graph licenses bans sources
	helm="$$($(CARGO) run --locked -q --bin testbed -- build --with helm | tail -n 1)" && \
		"$$helm" lint --strict charts/oidc-operator
	actionlint="$$($(CARGO) run --locked -q --bin testbed -- build --with actionlint | tail -n 1)" && \
		"$$actionlint" -shellcheck= -pyflakes= .github/workflows/*.yaml

docs: ## The documentation as a website in target/book, from docs/
	@mdbook --version 2>/dev/null | grep -qF 'v$(MDBOOK_VERSION)' || \
		$(CARGO) install --locked --debug --no-default-features --features search mdbook@$(MDBOOK_VERSION)
	mdbook build docs

advisories: ## Known vulnerabilities in dependencies, from the RustSec database (needs the network)
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked --debug cargo-deny@$(CARGO_DENY_VERSION)
	@$(DENY) fetch db || \
		{ echo 'Nothing was checked: the RustSec advisory database cannot be fetched from https://github.com/rustsec/advisory-db.' >&2; exit 1; }
	$(DENY) check --hide-inclusion-graph advisories

generate: ## Write crds/, the chart's copies and README, generated pages, and the manifests in deploy/ from their sources
	UPDATE=1 $(CARGO) test --locked --test generated
	UPDATE=1 $(CARGO) test --locked --test pure -- docs::reference
	UPDATE=1 $(CARGO) test --locked --test cluster -- manifests::files_match_the_chart

bench: ## What 1,000 and 10,000 clients cost, and how long one takes under disturbance; about ten minutes
	$(CARGO) build --release --locked
	$(CARGO) run --release --locked --bin testbed -- bench

image: ## The container image, with docker, podman or buildah; IMAGE=registry.example.com/oidc-operator:0.1.0 names it
	CARGO=$(CARGO) deploy/image.sh $(IMAGE)

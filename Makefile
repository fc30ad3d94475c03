# Both run on a fresh machine with Rust, git and make: what is missing is installed first.
#
#   make demo    breaks every version and prints the table
#   make test    every test: unit, contract, real services
#
.PHONY: help demo test lint services results deny clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: services ## the oversell reproduction over all versions
	@cargo loadtest demo

test: services ## every test; a server that is missing is a failure
	cargo test --workspace -- --include-ignored

lint: ## format, clippy and docs, warnings refused
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --quiet --workspace --no-deps --document-private-items

services: ## installs the servers that the lab starts by itself
	@.ci/services

results: services ## measures the figures of README and book again, into docs/results (20 minutes)
	@docs/results/measure

deny: ## licenses, sources and advisories of the dependencies (needs cargo-deny)
	cargo deny check

clean: ## what the build made
	cargo clean

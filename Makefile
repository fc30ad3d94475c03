# Both run on a fresh machine with Rust, git and make: what is missing is installed first.
#
#   make demo    chapter 1 oversells; then breaks every version and prints the table
#   make test    every test: unit, contract, real services, browser
#
.PHONY: help demo test bench lint book services machines test-tools results figures-check pictures flamegraph deny clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: ## the oversell reproduction over all versions
	@cargo run --profile quick -p v1-naive --example oversell
	@[ -n "$$DATABASE_URL" ] && [ -n "$$REDIS_URL" ] && [ -n "$$AMQP_URL" ] || $(MAKE) --no-print-directory services
	@cargo loadtest demo

# Most tests wait for a server: ten of them keep two processors half busy.
THREADS = $(shell echo $$(($$(nproc) * 5)))

# The servers of the tests write to memory if there is enough: on a disk that other programs keep busy, a commit can take seconds.
MEMORY = $(shell [ "$$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $$4 }')" -gt 6000000 ] 2>/dev/null && echo /dev/shm || echo "$${TMPDIR:-/tmp}")

test: services test-tools ## every test; a server that is missing is a failure
	TMPDIR=$(MEMORY) cargo test --workspace -- --include-ignored --test-threads $(THREADS)

bench: services ## chapter 6 against a shop that does nothing, and against chapters 1 to 5 (six minutes)
	@cargo loadtest bench

# Examples get the features that tests need. Without them a hundred crates would be built once for this, and again for the tests.
lint: ## prose, format, clippy and docs, warnings refused; every number quoted has a record
	@.ci/prose
	@.ci/zh
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --quiet --workspace --lib --examples --no-deps --document-private-items
	cargo build --quiet --workspace --bins --examples
	"$${CARGO_TARGET_DIR:-target}/debug/loadtest" figures

book: ## the book in docs/book; warnings and broken links refused
	@.ci/book

services: ## installs the servers that the lab starts by itself
	@.ci/install postgresql redis rabbitmq nginx

machines: services ## installs what --machines 3 needs: PostgreSQL under Patroni, ZooKeeper, HAProxy
	@.ci/install zookeeper patroni haproxy iproute2

test-tools: machines ## installs what only tests need: a browser, a clock that is wrong, and more databases
	@.ci/install chromium faketime mariadb memcached

results: services ## measures the figures of README and book again, into docs/results (four hours)
	@.ci/install faketime
	@docs/results/measure

figures-check: ## the records whose sources have changed since they were measured; no gate
	@.ci/stale

pictures: ## the pictures of README and book, from docs/results
	cargo loadtest picture ladder docs/results/demo.json --svg docs/src/ladder.svg
	cargo loadtest picture matrix docs/results/matrix.json --svg docs/src/matrix.svg
	cargo loadtest picture funnel docs/results/matrix.json --svg docs/src/funnel.svg
	cargo loadtest picture funnel docs/results/v6-nginx.json --svg docs/src/funnel-nginx.svg
	cargo loadtest picture capacity docs/results/capacity.json --svg docs/src/capacity.svg
	for version in v1 v2 v3; do \
		cargo loadtest picture lanes docs/results/replay-$$version.json --svg docs/src/lanes-$$version.svg || exit; \
	done
	cargo run --quiet -p v4-ratelimit --example buckets >docs/src/buckets.svg.new
	mv docs/src/buckets.svg.new docs/src/buckets.svg
	cargo loadtest picture bench docs/results/bench.json --svg docs/src/bench.svg
	cargo loadtest picture ways docs/results/ways-hot.json --svg docs/src/ways-hot.svg
	cargo loadtest picture ways docs/results/ways-spread.json --svg docs/src/ways-spread.svg

flamegraph: services ## which functions of chapter 6 use the processors, into the book (needs perf)
	@docs/results/flamegraph

deny: ## licenses, sources and advisories of the dependencies (needs cargo-deny)
	cargo deny check

clean: ## what the build made
	cargo clean

# Two commands are all a newcomer needs: `make run` and `make test`.

TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: run test format lint unit-and-end-to-end bench bench-gateway bench-check deny dist prerequisites

# Builds everything and starts a gateway with a demo on this machine. Options for `tenantry up` go in
# UP, such as UP="--proxy-addr 127.0.0.1:8888".
run: prerequisites
	cargo build --release --bin tenantry --bin tenantry-control-plane --bin tenantry-proxy
	exec $(TARGET)/release/tenantry up --demo $(UP)

# Everything that must hold: format, lints, unit, property and end-to-end tests.
test: prerequisites format lint unit-and-end-to-end

format:
	cargo fmt --all --check

lint:
	cargo clippy --workspace --all-targets -- -D warnings

# One build for binaries and tests, so that the end-to-end tests find the binaries beside them.
unit-and-end-to-end:
	cargo build --workspace --bins --tests
	@if cargo nextest --version >/dev/null 2>&1; then \
		cargo nextest run --workspace --lib --bins --tests; \
	else \
		cargo test --workspace --lib --bins --tests; \
	fi

# Figures, with the budgets they are held against, are in benches/README.md.
bench: prerequisites bench-gateway
	@scripts/prerequisites valgrind
	cargo bench --profile dist --workspace --bench "*"

# Tenantry beside other proxies that are given the same policy: installs them, checks that all answer alike, loads
# them in turn. Options go in GATEWAY, such as GATEWAY="--quick" or GATEWAY="--tenants 100000".
bench-gateway: dist
	envoy=$$(scripts/gateway-peers $(TARGET)/gateway/envoy) && \
		$(TARGET)/dist/gateway-bench --proxy $(TARGET)/shipped/tenantry-proxy --output $(TARGET)/gateway --envoy "$$envoy" $(GATEWAY)

# How many instructions a request takes, held against what was recorded (benches/instructions.json): more than 3 % more
# fail. BENCH=--record records.
bench-check: prerequisites
	@scripts/prerequisites valgrind
	cargo build --profile dist --workspace --bins
	cargo bench --profile dist --workspace --bench instructions -- $(BENCH)

# Licences, sources, bans and advisories of dependencies (needs cargo-deny).
deny:
	cargo deny check

# What is shipped.
dist: prerequisites
	scripts/dist $(TARGET)

prerequisites:
	@scripts/prerequisites

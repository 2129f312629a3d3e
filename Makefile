# make run       Sower on this checkout: SQLite, the shipped integrations, the three environments
# make test      everything that CI checks; installs what is missing
# make install   the binary, completions and man pages into PREFIX

CACHE := $(or $(SOWER_TEST_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sower)
TARGET := $(or $(CARGO_TARGET_DIR),target)
PREFIX ?= $(if $(shell test -w /usr/local/bin && echo yes),/usr/local,$(HOME)/.local)
export CARGO_DENY_VERSION := 0.20.2

.PHONY: run test check claim installed lint suites compare generate bench install

run:
	cargo build --release --locked
	$(TARGET)/release/sower run --standalone

# A fresh clone finds what an earlier one built: the target folder lies in the cache, one for each
# compiler, and serves one run at a time.
STEPS := $(if $(CARGO_TARGET_DIR),,claim) check
test: export CARGO_TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(CACHE)/target-$(word 2,$(shell rustc --version)))
test: installed
	@mkdir -p $(CARGO_TARGET_DIR)
	@flock $(CARGO_TARGET_DIR)/make-test.lock $(MAKE) --no-print-directory $(STEPS)

# Cargo tells by its age whether a file has changed. Where another checkout used the folder last, age
# says nothing, so every file becomes new; the libraries from elsewhere stay as they are.
claim:
	@[ "$$(cat $(TARGET)/checkout 2>/dev/null)" = "$(CURDIR)" ] || git ls-files -z | xargs -0 touch -c
	@echo "$(CURDIR)" >$(TARGET)/checkout

check: lint
	cargo build --workspace --all-targets --locked
	@$(MAKE) --no-print-directory compare suites

installed:
	@tests/install

lint: installed
	cargo fmt --all --check
	cargo fetch --locked --quiet
	$(CACHE)/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny --offline --locked check bans licenses sources
	cargo clippy --workspace --all-targets --locked -- -D warnings

suites:
	RUST_BACKTRACE=0 cargo test --workspace --locked

compare:
	SOWER_BIN=$(abspath $(TARGET))/debug/sower tests/generated compare

# The CRDs, the editor's schema, the chart's copies and the reference pages, from the Rust types.
generate:
	cargo build -p sower --locked
	SOWER_BIN=$(abspath $(TARGET))/debug/sower tests/generated write

# One table of what a seeding costs; SOWER_BENCH_SIZES=1000 is the shortest.
bench: installed
	cargo build --release --locked
	SOWER_BIN=$(abspath $(TARGET))/release/sower cargo bench --locked -p sower-tests --bench seeding --bench trust --bench rollout

install:
	cargo build --release --locked
	install -D $(TARGET)/release/sower $(DESTDIR)$(PREFIX)/bin/sower
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,bash-completion/completions zsh/site-functions fish/vendor_completions.d man/man1)
	$(TARGET)/release/sower completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/sower
	$(TARGET)/release/sower completion zsh >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_sower
	$(TARGET)/release/sower completion fish >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/sower.fish
	$(TARGET)/release/sower generate man --dir $(DESTDIR)$(PREFIX)/share/man/man1

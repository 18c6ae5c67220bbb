# The two commands of the README are `make demo` and `make test`; both install what is missing and say so.

MKBC := target/release/mkbc
MEDIA := examples/media

.PHONY: demo test setup build media lint bench chaos editors editors-browser playground workers workers-cuda gpu-bundle

# The main job on real input: make a video, check the job, plan it, run the plan, print the answer.
demo: setup build media
	$(MKBC) check examples/video_qa.mkb
	$(MKBC) plan examples/video_qa.mkb --out target/video_qa.azure.plan.json
	$(MKBC) run examples/road_trip.mkb --videos $(MEDIA)/road_trip.mp4
	$(MKBC) run examples/video_qa.mkb --videos $(MEDIA)/road_trip.mp4 --question "Who drives the car?"

# Formatting, lints, then every test.
test: setup
	cargo fmt --check
	cargo clippy --all-targets --quiet -- -D warnings
	@# nextest keeps all cores busy from one test program to the next.
	if cargo nextest --version >/dev/null 2>&1; then cargo nextest run --no-fail-fast --status-level fail; else cargo test --quiet; fi
	MKBC=$(CURDIR)/target/debug/mkbc PYTHONPATH=python python3 -m unittest discover -q python/tests

setup:
	@.ci/setup all

build:
	cargo build --release

media:
	@$(MEDIA)/make.sh

lint: setup
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings

# Parser throughput, the built-in tier's figures, and the solver on its families of problems.
bench: setup build
	cargo bench
	$(MKBC) bench solver

# 500 kills over plans of 202 calls, and 10,000 damaged journals.
chaos: setup
	MKBC_CHAOS=500 MKBC_CHAOS_NODES=202 MKBC_DAMAGE=10000 cargo test --release --test journal -- --nocapture

# The extension for VS Code: its tests, and editors/vscode/mkb.vsix. Needs Node.js 20.
editors:
	cd editors/vscode && npm ci && npm test && npm run package

# The same extension in code-server, driven in Chromium (editors/vscode/README.md says what that needs).
editors-browser:
	cd editors/vscode && npm ci && npm run package && npm run test:browser

# The core as WebAssembly behind one page, in playground/dist, and its test. Needs a Rust for wasm32, or Debian's rustc-web.
playground: setup
	playground/build.sh
	cargo test --test playground

# The model worker with CUDA: NVIDIA's compiler from PyPI, neither GPU nor driver.
workers-cuda:
	workers/cuda.sh

# What gpu/check.sh needs on a machine without Rust.
gpu-bundle: setup
	gpu/bundle.sh

# The worker for local models (docs/workers.md), and its tests.
workers:
	cargo test --manifest-path workers/candle/Cargo.toml
	cargo build --release --manifest-path workers/candle/Cargo.toml

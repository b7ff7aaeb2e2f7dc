# chp: an offline Charmhub in one executable. `make help` lists the verbs.
#
# Node.js ≥ 20, npm and make are all that is needed; package.json pins everything else, which npm installs, and says which Node dist/chp.mjs needs.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

BUN := node_modules/bun/bin/bun.exe
STORE ?= .run/store
LISTEN ?= 0.0.0.0:8080
# How long each test file took: the next run begins with the longest.
TIMINGS ?= .run/timings.json
# Files that run in one process share what they import, which takes a third of the time. The timeout of test/preload.ts is that of the first.
# Most of what tests run is run a few times: the last stage of the compiler is not worth its tenth of the time.
TEST := BUN_JSC_useFTLJIT=0 $(BUN) test --no-orphans --parallel --no-isolate --timeout=$(or $(CHP_TEST_TIMEOUT),300000) --timings=$(TIMINGS) --update-timings
# tsc and oxlint are Go programs, which by default spend a quarter of their time on freeing memory: this takes 50 MB more.
GO := GOGC=400
SOURCES := $(shell find bin src handlers store -name '*.ts' -o -name '*.tsx' -o -path '*/assets/*') $(wildcard bin/manual/*.md) package.json tsconfig.json

run: dist/chp ## build, import the example export if the store is empty, and serve it
	@dist/chp list --store $(STORE) --json --quiet 2>/dev/null | grep -q '"name"' || $(MAKE) -s example
	dist/chp serve --store $(STORE) --listen $(LISTEN)

example: dist/chp ## import the example export again
	@$(BUN) test/example.ts .run/example
	dist/chp import --store $(STORE) .run/example/*.tar.gz

unit: $(BUN) ## types, lint, format and the tests that start no process and run no whole command, side by side: the loop while working
	@$(MAKE) -s --jobs=4 --output-sync=target types quicklint format inprocess

# Some files wait for most of their time: two more than there are processors keep these busy.
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 2)))

test: build ## run every test that needs nothing but npm's packages
	$(TEST:--parallel=--parallel=$(WORKERS))

bench: dist/chp ## figures: requests/s, downloads, import, memory, start
	@$(BUN) test/bench/run.ts $(BENCH)

interop: dist/chp ## real clients of Juju and snapd (needs Go; snapd for some)
	@$(BUN) test/interop/run.ts $(INTEROP)

finder: $(BUN) ## what is found of the snaps and images that real charms need (needs python3 with pip)
	@$(BUN) test/finder/run.ts

pulls: dist/chp ## real clients of the registry (needs root, Go, containerd, podman and skopeo)
	@$(BUN) test/interop/pulls.ts

images: dist/chp ## a real registry and the real skopeo (needs docker-registry and skopeo)
	@$(BUN) test/interop/images.ts

browser: dist/chp ## the pages in a real browser (needs chromium)
	@$(BUN) test/browser/run.ts

replicas: build ## several servers over real S3-compatible engines (needs Go, and Ceph's packages); REPLICAS="versitygw checker" SECONDS_OF_CHECK=60 KILLS=20 SEED=1
	@$(BUN) test/interop/replicas.ts $(REPLICAS)

metrics: dist/chp ## a real Prometheus: dashboard and alerts (needs prometheus and openssl)
	@$(BUN) test/interop/metrics.ts

packages: $(BUN) ## what make release SIGN=.run/release.key made, installed and run (needs root, debootstrap, podman, containerd and minisign)
	@$(BUN) test/interop/packages.ts

powercut: dist/chp ## each command under power cuts and failing disks (needs strace); COMMANDS=config,gc SEED=1 STATES=1000 FAULTS=12
	@$(BUN) test/powercut/run.ts "$(COMMANDS)" $(or $(SEED),1) $(or $(STATES),1000) $(or $(FAULTS),12)

simulate: $(BUN) ## histories of the store from seeds; SEEDS=1-1000, or one seed, which is shown step by step
	@$(BUN) test/simulate/run.ts $(or $(SEEDS),1-1000)

mutants: $(BUN) ## small faults in the source, one at a time: which of them no test notices; MUTANTS=store/fs.ts DEPTH=near SAMPLE=20
	@$(BUN) test/mutants/run.ts

fuzz: $(BUN) ## changed inputs for every parser; SECONDS_OF_FUZZ=20 SEED=1 TARGETS=metadata,snap
	@$(BUN) test/fuzz/run.ts $(or $(SECONDS_OF_FUZZ),20) $(or $(SEED),1) "$(TARGETS)"

check: types lint format ## types, lint, format

types: $(BUN)
	$(GO) node_modules/.bin/tsc -p . --incremental --tsBuildInfoFile .run/types.json

lint: $(BUN)
	$(GO) node_modules/.bin/oxlint --type-aware --deny-warnings

# Without the rules that need types, which take as long as the types themselves: make check has them.
quicklint: $(BUN)
	node_modules/.bin/oxlint --deny-warnings

format: $(BUN)
	node_modules/.bin/biome ci

# Stories of whole commands and exports, up to seconds each: make test runs them.
STORIES := test/bin/commands/** test/manual.test.ts test/replicas/kills.test.ts test/src/export/images.test.ts test/src/export/archivewriter.test.ts

# test/preload.ts forbids these tests to start a process; test/thorough.ts reduces long runs of properties.
inprocess: $(BUN)
	CHP_THOROUGH=0 $(TEST:.json=-unit.json) --dots $(patsubst %,--path-ignore-patterns='%',test/e2e/** test/tools/** test/powercut/** $(STORIES))

build: dist/chp dist/chp.mjs ## dist/chp for this machine, dist/chp.mjs for plain Node

linux-x64 linux-arm64 darwin-arm64: $(BUN) ## the executable for that machine, as dist/chp-NAME
	$(BUN) bin/build.ts $@

release: $(BUN) ## all of them, packages for Debian, an OCI image, a bill of materials, SHA256SUMS; SIGN=FILE signs, LIBC=FOLDER has libc6_*.deb
	$(BUN) bin/build.ts && $(BUN) bin/build.ts linux-x64 linux-arm64 darwin-arm64
	@CHP_COMMIT=$${CHP_COMMIT-$$(git rev-parse --short=12 HEAD 2>/dev/null)} $(BUN) bin/packaging/release.ts "$(SIGN)" "$(LIBC)"

clean: ## remove what was built and the example store
	rm -rf dist .run node_modules

help: ## this text
	@sed -n 's/^\([a-z0-9 -]*\):.*## \(.*\)/\1\t\2/p' Makefile | awk -F'\t' '{ printf "  make %-38s %s\n", $$1, $$2 }'

dist/chp: $(SOURCES) $(BUN)
	$(BUN) bin/build.ts

dist/chp.mjs: dist/chp

# The one script of a package that is run is Bun's, which puts its executable in place. The Node that tests run dist/chp.mjs with
# gets no link in .bin, where it would run what is built. The warnings would say that this Node is older than that one.
$(BUN): package.json package-lock.json
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@rm -f node_modules/.bin/node
	@$(BUN) --version >/dev/null 2>&1 || node node_modules/bun/install.js
	@touch $(BUN)

.PHONY: run example unit quicklint inprocess test interop finder images pulls browser metrics packages replicas bench powercut simulate mutants fuzz check types lint format build linux-x64 linux-arm64 darwin-arm64 release clean help

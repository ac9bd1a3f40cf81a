# Every target works from a fresh checkout with Go, make and a C compiler (for the race detector); `js`, and so `check`,
# needs Node and npm, `browser` and `lossless` Chromium, `browsers` other browsers.

MODULES := $(filter-out clientjs/node_modules/%,$(patsubst ./%,%,$(patsubst %/,%,$(sort $(dir \
	$(wildcard go.mod */go.mod */*/go.mod */*/*/go.mod))))))
# What `test` and `cover` run. The browser tests have targets of their own.
TESTED := $(filter-out %/browsertest,$(MODULES))
# Beside the one that make runs on. All tests compile there.
SYSTEMS := windows darwin freebsd

GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

# The tests over real sockets: they hold with the poller of Linux and without.
OVER_SOCKETS := . ./internal/wire ./internal/conformance ./internal/stresstest ./internal/losslesstest

# What the client for pages is built and tested with, where there is npm: some tests in Go run it.
PACKAGES := $(if $(shell command -v npm),clientjs/node_modules)

COUNT ?= 1
STRESS ?= 1m
FUZZTIME ?= 10s

# Each module by itself, also when the checkout lies in the workspace of a program.
export GOWORK := off

# $(call each,MODULES,COMMAND): COMMAND in each module.
each = @set -e; for module in $(1); do echo "== $$module"; (cd $$module && $(2)); done

# $(call benchmark,PACKAGE,NAME): that program of the benchmarks, run here, so that the paths in ARGS are from here.
benchmark = @go build -C benchmarks -o $(CURDIR)/.bin/$(2) $(1) && .bin/$(2) -dir benchmarks

.PHONY: help check format tidy vet lint test js stress cover bench bench-peers bench-record soak soak-record
.PHONY: fuzz browser browsers proxies vuln chat lossless

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

check: format tidy vet lint js test ## format, tidy, vet, lint, js, test

format: ## fail on files that gofmt would change
	@unformatted=$$(find . -name node_modules -prune -o -name '*.go' -exec gofmt -l {} +); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w these:"; echo "$$unformatted"; exit 1; fi

tidy: ## fail on modules that go mod tidy would change
	$(call each,$(MODULES),go mod tidy -diff)

vet: ## go vet, and of the root module for the other systems that it is for
	$(call each,$(MODULES),go vet ./...)
	go vet -tags nopoll ./...
	@set -e; for os in $(SYSTEMS); do echo "== $$os"; GOWORK=off GOOS=$$os go vet ./...; done
	GOOS=linux GOARCH=386 go vet ./... # where an int has 32 bits

lint: ## golangci-lint, at a pinned version
	$(call each,$(MODULES),go run $(GOLANGCI) run ./...)

test: $(PACKAGES) ## all tests in Go, with the race detector and in random order; COUNT=20 repeats them
	$(call each,$(TESTED),go test -race -shuffle=on -count=$(COUNT) ./...)
	@echo "== without the poller"
	@go test -tags nopoll -race -shuffle=on -count=$(COUNT) $(OVER_SOCKETS)

# The package is an ES module alone: what CommonJS and TypeScript's node10 would find does not matter (esm-only).
js: clientjs/node_modules ## the client for pages: format, lint, types, tests, the package, a rebuild of dist
	cd clientjs && npm run -s check && npm run -s test && npm run -s verify && npm run -s package && npm run -s types

# Made anew when the lock file has changed.
clientjs/node_modules: clientjs/package-lock.json
	cd clientjs && npm ci
	@touch $@

stress: ## connect, send, kick, drop and resume at random; STRESS=1m says for how long
	go test -race -count=1 -timeout 30m -run '^Test(Stress|Load)' -v ./internal/stresstest -stress $(STRESS)

cover: $(PACKAGES) ## test coverage of each module, in coverage.out
	$(call each,$(TESTED),go test -coverprofile=coverage.out ./... && go tool cover -func=coverage.out | tail -n 1)

bench: ## benchmarks of each module
	$(call each,$(TESTED),go test -run '^$$' -bench . -benchmem ./...)

bench-peers: ## wspulse beside its peers, about an hour; ARGS='-scenario fanout -peers wspulse,chat -rounds 3' for less
	$(call benchmark,.,bench) $(ARGS)

bench-record: ## the same, merged into benchmarks/results.json, RESULTS.md and plots
	$(call benchmark,.,bench) -record $(ARGS)

lossless: $(PACKAGES) ## three minutes of faults: clients in Go, Node and Chromium lose nothing; draws docs/lossless.svg
	go test -count=1 -timeout 15m -run '^Test(Lossless|Node)$$' -v ./internal/losslesstest \
	-messages 200000 -faults 1000 -length 2m -picture $(CURDIR)/docs/lossless.svg
	cd clientjs/browsertest && go test -count=1 -run '^TestProof$$' -v . -messages 20000 -faults 100 -length 12s

soak: ## ten minutes of thousands of connections with faults; ARGS='-d 1m' for less
	$(call benchmark,./soak,soak) $(ARGS)

soak-record: ## the same, drawn in benchmarks/plots/soak.svg if it passes
	$(call benchmark,./soak,soak) -record $(ARGS)

fuzz: ## each fuzz target for FUZZTIME=10s, or FUZZTIME=5000x for that many inputs
	@set -e; for module in $(TESTED); do (cd $$module; \
	go list ./... | while read -r package; do \
	go test -list '^Fuzz' $$package | grep '^Fuzz' | while read -r target; do \
	echo "== $$package $$target"; \
	go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package || exit 1; \
	done || exit 1; done) || exit 1; done

browser: ## the chat, the poll and the JavaScript client in headless Chromium; SCREENSHOTS=dir keeps the pictures
	cd examples/chat/browsertest && go test -count=1 -v ./...
	cd clientjs/browsertest && go test -count=1 -v .

browsers: ## the JavaScript client in Firefox and in WebKit, which must be installed
	cd clientjs/browsertest && go test -count=1 -v ./others

proxies: ## the configurations under docs/proxies, run by nginx, HAProxy and Caddy, which must be installed
	go test -race -count=1 -v ./internal/proxytest -required

chat: ## run the chat on http://127.0.0.1:8080; ARGS='-addr 127.0.0.1:0' for a free port
	go run ./examples/chat $(ARGS)

vuln: ## govulncheck; needs the network that its database is on
	$(call each,$(MODULES),go run $(GOVULNCHECK) ./...)

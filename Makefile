# `make` alone lists what there is. ARGS goes to the command behind run, demo, test, chaos, bench and bench-cutover: make test ARGS='-run TestUnit -v'.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
PKGS    ?= ./...
ARGS    ?=
FULL    ?= -full
ROWS    ?= .
# What is built bears no other date than the commit's, so that the same commit makes the same bytes.
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null)
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
DATE    := $(shell date -u -d @$(SOURCE_DATE_EPOCH) +%Y-%m-%dT%H:%M:%SZ)

PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
# Where both systemd and its sysusers look for what was installed by hand.
LIBDIR     ?= $(PREFIX)/lib
DESTDIR    ?=

# Static binaries; the tools need no cgo either.
export CGO_ENABLED := 0

CLI   := github.com/projecteru2/eru-agent/cmd/cli
BUILD := go build -trimpath -buildvcs=false -tags grpcnotrace -ldflags '-s -w -X $(CLI).version=$(VERSION) -X $(CLI).commit=$(COMMIT) -X $(CLI).date=$(DATE)'
LINT  := go tool -modfile=$(CURDIR)/.ci/tools/go.mod golangci-lint
# Those who read what the agent projects, as tests in a module of its own: 8 s, and 20 s of CPU to build it the first time.
READERS := e2e/readers
# The agent's page in a real Chromium, as tests in a module of its own.
BROWSER := e2e/browser

LOAD := for archive in bin/*.image.tar; do docker load --quiet --input $$archive || exit 1; done

.DEFAULT_GOAL := help
.NOTPARALLEL: # setup comes before build
.PHONY: help setup build run demo test screenshot chaos check lint vet fmt vuln bench bench-cutover bench-selfmon docs tidy install package image compose compose-down test-package reproduce clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:
	@scripts/setup

build: ## build bin/eru-agent and bin/eru-lb, and what the demonstration needs
	$(BUILD) -o bin/ ./cmd/eru-agent ./cmd/eru-lb ./cmd/eru-agent-dev ./e2e/web

run: setup build ## set the machine up and run the agent on its containers, with an etcd of its own
	@VERSION='$(VERSION)' scripts/image web
	@$(LOAD)
	bin/eru-agent-dev run $(ARGS)

demo: setup build ## show a container's life from start to kill, with times, and that no request through a HAProxy fails, in under a minute
	@scripts/setup demo
	bin/eru-agent-dev demo $(ARGS)

# The race detector is the only thing here that needs cgo. One package at a time: several work on the machine's one Docker.
test: ## run every test, with the race detector, real Docker and real etcd
	@scripts/setup test
	CGO_ENABLED=1 go test -race -p 1 -timeout 15m $(ARGS) $$(go list $(PKGS) | grep -v -e /e2e/chaos$$ -e /e2e/install$$)
	$(if $(filter ./...,$(PKGS)),cd $(READERS) && CGO_ENABLED=1 go test -race -timeout 15m $(ARGS) ./...)
	$(if $(filter ./...,$(PKGS)),cd $(BROWSER) && CGO_ENABLED=1 go test -race -timeout 15m $(ARGS) ./...)

screenshot: ## take the picture of the page anew that the documents show, in a minute and a half
	@scripts/setup test
	cd $(BROWSER) && go test -count=1 -timeout 15m -run Screenshot -screenshot docs/page.png .

# In its own folder, so that what it prints is seen while it runs. Without the race detector: what is tested is the agent's binary.
chaos: ## break everything around the agent, and count what a proxy would have seen that was wrong: a table (FULL= for a short one, ROWS=REGEXP for some)
	@scripts/setup test
	cd e2e/chaos && go test -count=1 -timeout 30m -run '$(ROWS)' $(FULL) $(ARGS)

check: vet lint build ## format, vet, lint, tidy, generated docs, and what the binary links; leaves no diff
	$(LINT) fmt --diff
	go mod tidy -diff
	cd .ci/tools && go mod tidy -diff
	cd $(READERS) && go mod tidy -diff
	cd $(BROWSER) && go mod tidy -diff
	cd examples/confd && go mod tidy -diff
	cd packaging && go mod tidy -diff
	bin/eru-agent-dev docs --check
	scripts/check-binary

vet:
	go vet ./...
	cd $(READERS) && go vet ./...
	cd $(BROWSER) && go vet ./...

lint: ## run golangci-lint (the first time it is built: some minutes)
	$(LINT) run
	cd $(READERS) && $(LINT) run
	cd $(BROWSER) && $(LINT) run

fmt: ## format the code
	$(LINT) fmt

vuln: ## look for known vulnerabilities in what the code reaches (needs vuln.go.dev)
	@scripts/vuln

# Against an etcd of go.mod's version, as a process of its own. What there is to choose: make bench ARGS=-help
bench: ## measure the agent against yardsticks in the same run, and print ours, theirs and the limit, in 15 minutes
	@scripts/setup
	$(BUILD) -o bin/ ./cmd/eru-agent ./e2e/web ./bench
	go build -trimpath -ldflags '-s -w' -o bin/etcd go.etcd.io/etcd/server/v3
	bin/bench -version '$(VERSION)' $(ARGS)

# Each situation on hosts of its own, and then a thousand agents around an etcd of three members. BRIEF=1: a look, in five minutes.
bench-selfmon: ## let nodes and agents fall silent, and print what was cut, what stayed and after how long, with the limits, in a quarter of an hour (BRIEF=1 for a look)
	@scripts/setup test
	$(BUILD) -o bin/ ./cmd/eru-agent ./bench/fleet
	go build -trimpath -ldflags '-s -w' -o bin/etcd go.etcd.io/etcd/server/v3
	cd e2e/silence && go test -count=1 -timeout 30m -run '$(ROWS)' $(if $(BRIEF),,-full) -figures '$(CURDIR)/bin/silence.json'
	bin/fleet -version '$(VERSION)' -silence bin/silence.json $(if $(BRIEF),-n 100 -quiet 20s) $(ARGS)

# What there is to choose: make bench-cutover ARGS=-help. The tables in docs/proxies.md: ARGS='-markdown docs/proxies.md'.
bench-cutover: ## measure what users of HAProxy, nginx and gRPC see when servers die, stop, turn unhealthy and drain, in 12 minutes
	@scripts/setup test
	$(BUILD) -o bin/ ./cmd/eru-agent ./cmd/eru-lb ./e2e/web ./bench/cutover
	go build -trimpath -ldflags '-s -w' -o bin/etcd go.etcd.io/etcd/server/v3
	cd examples/confd && go build -trimpath -ldflags '-s -w' -o ../../bin/confd github.com/kelseyhightower/confd
	bin/cutover -version '$(VERSION)' $(ARGS)

docs: build ## generate docs/cli.md, agent.yaml.example and lb.yaml.example
	bin/eru-agent-dev docs

tidy: ## tidy all module files
	go mod tidy
	cd .ci/tools && go mod tidy
	cd $(READERS) && go mod tidy
	cd $(BROWSER) && go mod tidy
	cd examples/confd && go mod tidy
	cd packaging && go mod tidy

install: ## install binary, unit, account and example config (after make build; DESTDIR for packages)
	PREFIX='$(PREFIX)' LIBDIR='$(LIBDIR)' SYSCONFDIR='$(SYSCONFDIR)' DESTDIR='$(DESTDIR)' scripts/install

package: build ## make a .deb and an .rpm of eru-agent and of eru-lb in bin/
	@VERSION='$(VERSION)' scripts/package

image: build ## make images FROM scratch of eru-agent and eru-lb in bin/, and load them into Docker
	@VERSION='$(VERSION)' scripts/image
	@$(LOAD)

compose: setup build ## bring up etcd, the agent, HAProxy with eru-lb and three web servers from images that are made here (examples/compose)
	@scripts/setup compose
	go build -trimpath -ldflags '-s -w' -o bin/etcd go.etcd.io/etcd/server/v3
	@VERSION='$(VERSION)' scripts/image compose
	@$(LOAD)
	@scripts/compose start

compose-down: ## take that down again
	@scripts/compose down --volumes
	@echo "the images stay: docker images 'eru-*'"

test-package: ## install, upgrade and remove the packages on a Debian with systemd, in a container; run the images and examples/compose
	@scripts/setup package
	go test -count=1 -timeout 15m $(ARGS) ./e2e/install

reproduce: ## build packages and images of what is committed twice, in different places, with nothing cached, and compare the bytes
	scripts/reproduce

clean: ## remove what was built
	rm -rf bin

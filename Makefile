# `make` alone lists what there is. ARGS goes to the command behind run, demo, test and bench: make test ARGS='-run TestUnit -v'.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
PKGS    ?= ./...
ARGS    ?=

PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
# Where both systemd and its sysusers look for what was installed by hand.
LIBDIR     ?= $(PREFIX)/lib
DESTDIR    ?=

# One static binary; the tools need no cgo either.
export CGO_ENABLED := 0

BUILD := go build -trimpath -tags grpcnotrace -ldflags '-s -w -X github.com/projecteru2/eru-agent/cmd.version=$(VERSION)'
LINT  := go tool -modfile=.ci/tools/go.mod golangci-lint

.DEFAULT_GOAL := help
.NOTPARALLEL: # setup comes before build
.PHONY: help setup build run demo test check lint vet fmt bench docs tidy install clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:
	@scripts/setup

build: ## build bin/eru-agent, and what the demonstration needs
	$(BUILD) -o bin/ ./cmd/eru-agent ./cmd/eru-agent-dev ./e2e/web

run: setup build ## set the machine up and run the agent on its containers, with an etcd of its own
	bin/eru-agent-dev run $(ARGS)

demo: setup build ## show a container's life from start to kill, with times, in under a minute
	bin/eru-agent-dev demo $(ARGS)

# The race detector is the only thing here that needs cgo. One package at a time: several work on the machine's one Docker.
test: ## run every test, with the race detector, real Docker and real etcd
	@scripts/setup test
	CGO_ENABLED=1 go test -race -p 1 -timeout 15m $(ARGS) $(PKGS)

check: vet lint build ## format, vet, lint, tidy, generated docs, and what the binary links; leaves no diff
	$(LINT) fmt --diff
	go mod tidy -diff
	cd .ci/tools && go mod tidy -diff
	bin/eru-agent-dev docs --check
	scripts/check-binary bin/eru-agent

vet:
	go vet ./...

lint: ## run golangci-lint (the first time it is built: some minutes)
	$(LINT) run

fmt: ## format the code
	$(LINT) fmt

bench: ## measure, and print the figures as a table
	@scripts/setup test
	go run ./e2e/bench $(ARGS)

docs: build ## generate docs/cli.md and agent.yaml.example
	bin/eru-agent-dev docs

tidy: ## tidy both module files
	go mod tidy
	cd .ci/tools && go mod tidy

install: ## install binary, unit, account and example config (after make build; DESTDIR for packages)
	PREFIX='$(PREFIX)' LIBDIR='$(LIBDIR)' SYSCONFDIR='$(SYSCONFDIR)' DESTDIR='$(DESTDIR)' scripts/install

clean: ## remove what was built
	rm -rf bin

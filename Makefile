# Needs Go, and for the race detector a C compiler. See README.md.

HUB_DATA ?= ./data
HUB_HTTP ?= localhost:8420
HUB_NATS ?= 127.0.0.1:4222

# The race detector is linked with C. Where there is no C compiler, Go says so here.
RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

TOOL := go tool -modfile=tools/go.mod

.PHONY: run build test lint story clean

# A private hub with its data in ./data, until Ctrl-C.
run: build
	@exec bin/keyhall up --data $(HUB_DATA) --http $(HUB_HTTP) --nats $(HUB_NATS)

build:
	go build -o bin/keyhall ./cmd/keyhall

# Packages run two at a time: real servers with the race detector on are heavy.
test:
	$(if $(RACE),,@echo "No C compiler was found: testing without the race detector.")
	go vet ./...
	go test $(RACE) -p 2 -timeout 8m ./...

lint:
	@unformatted=$$($(TOOL) gofumpt -l .); \
	if [ -n "$$unformatted" ]; then \
		echo "Not formatted; run $(TOOL) gofumpt -w on:"; echo "$$unformatted"; exit 1; \
	fi
	go vet ./...
	$(TOOL) staticcheck ./...

# What the README tells, for real: its own blocks, in a folder of their own.
story: build
	go run ./test/story

clean:
	rm -rf bin

# Needs Go, for the web app Node, and for the race detector a C compiler. See README.md.

HUB_DATA ?= ./data
HUB_HTTP ?= localhost:8420
HUB_NATS ?= 127.0.0.1:4222

# The race detector is linked with C. Where there is no C compiler, Go says so here.
RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

TOOL := go tool -modfile=tools/go.mod

.PHONY: race run demo build web test claims lint story chaos bench bench-check dist dist-check clean

# A private hub with its data in ./data, until Ctrl-C.
run: build
	@exec bin/keyhall up --data $(HUB_DATA) --http $(HUB_HTTP) --nats $(HUB_NATS)

# A throw-away hub with two people, rooms and things to look at, for two browser windows.
demo: build
	@exec bin/keyhall up --demo

build: web
	go build -o bin/keyhall ./cmd/keyhall

# The web app, as it becomes part of the program. Without Node there is none, and the hub says so.
WEB := $(strip $(wildcard web/package.json web/package-lock.json web/build.mjs web/tsconfig.json) \
	$(shell find web/src -type f 2>/dev/null))
ifneq ($(shell command -v node 2>/dev/null),)
web: web/dist/index.html
else
web:
	@echo "Node was not found: the program is built without the web app."
endif

web/dist/index.html: $(WEB) | $(if $(WEB),web/node_modules/.package-lock.json)
	$(if $(WEB),cd web && node build.mjs)

web/node_modules/.package-lock.json: web/package-lock.json
	cd web && npm ci --no-audit --no-fund && touch node_modules/.package-lock.json

# The packages are tested with the race detector: all of the code, and whole hubs with members in one process
# (test/hall). Without it, since it would take minutes more and see nothing else: what runs the programs as people get
# them (WHOLE) or has one thread (vectors), and what is tried byte by byte (files named every_test.go). Packages run three at a time: much of what they do
# is waiting for real servers. The longest come first, or the last of them would run alone. go vet looks at all of it before,
# and once; what debuggers need is not linked, a second for each package.
WHOLE := ./test/browser ./test/script ./test/operator ./test/dist ./test/chaos ./test/vectors
TEST := go test -vet=off -ldflags='-s -w' -json -p 3 -timeout 9m
test: web
	$(if $(RACE),,@echo "No C compiler was found: testing without the race detector.")
	go vet ./...
	@mkdir -p bin
	@echo go test $(WHOLE), and go test $(RACE) of all others
	@{ $(TEST) $(WHOLE); $(if $(RACE),$(TEST) -run Every ./event;) \
		$(TEST) $(RACE) ./test/hall $$(go list ./... | grep -v -E '/test/(browser|script|operator|dist|chaos|vectors)$$'); } | \
		tee bin/test.json | go run ./test/report $(if $(CI),-strict) -

# All of it with the race detector.
race: web
	go test $(RACE) -p 2 -timeout 60m ./...

# Every item of the work that is done has a test that would fail without it. Judged by the
# last make test.
claims:
	@test -f bin/test.json || $(MAKE) test
	@go run ./test/report -only-claims -claims test/claims.txt bin/test.json

lint: web
	@unformatted=$$($(TOOL) gofumpt -l .); \
	if [ -n "$$unformatted" ]; then \
		echo "Not formatted; run $(TOOL) gofumpt -w on:"; echo "$$unformatted"; exit 1; \
	fi
	go vet ./...
	$(TOOL) staticcheck ./...
	$(if $(shell command -v node 2>/dev/null),cd web && npx tsc --noEmit)

# What the README tells, for real: its own blocks, in a folder of their own.
story: build
	go run ./test/story

# Hub, owner and reader are killed at random moments while they work, and nothing that was
# acknowledged may be lost. The same seed kills the same at the same moments.
#
#	make chaos SEED=7 KILLS=100
SEED ?= $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')
KILLS ?= 100
chaos:
	go test $(RACE) ./test/chaos -count=1 -timeout 60m -v -run Killed -seed $(SEED) -kills $(KILLS)

# Keyhall beside the same work without it; docs/benchmarks.md says what each row is.
#
#	make bench BENCH='get|scan'
BENCH ?=
bench:
	@go build -o bin/bench ./bench
	@bin/bench -rows '$(BENCH)'

# The same, and fails where a limit is missed.
bench-check:
	@go build -o bin/bench ./bench
	@bin/bench -check -rows '$(BENCH)'

# Static binaries for friends who have no Go, the same bytes wherever they are built, with
# their checksums. Put them into the folder downloads beside a hub's data to offer them.
DIST := linux-amd64 linux-arm64 darwin-amd64 darwin-arm64 windows-amd64 windows-arm64
dist: $(addprefix dist-,$(DIST))
	@cd bin/dist && sha256sum keyhall-* > SHA256SUMS && cat SHA256SUMS

dist-%: web
	@mkdir -p bin/dist
	CGO_ENABLED=0 GOOS=$(word 1,$(subst -, ,$*)) GOARCH=$(word 2,$(subst -, ,$*)) \
		go build -trimpath -buildvcs=false -ldflags '-s -w -buildid=' \
		-o bin/dist/keyhall-$*$(if $(findstring windows,$*),.exe) ./cmd/keyhall

# Two builds of everything, without the build cache, are the same bytes. Takes minutes.
dist-check:
	go test ./test/dist -count=1 -timeout 30m -v -cold

clean:
	rm -rf bin web/dist/* web/dist-test web/node_modules

# The commands of this repository. `make demo` and `make test` do all their own set-up.

PREFIX ?= /usr/local
# Fewer rounds than five are too few to conclude from.
ROUNDS ?= 5
DESTDIR ?=
# The tool runs where no Swift toolchain is.
TOOL_FLAGS = --static-swift-stdlib --scratch-path .build/tool -Xlinker -s
SWIFT ?= swift
SOURCES = Package.swift Sources Tests Snippets Benchmarks/Package.swift Benchmarks/Sources Examples/Comparison.swift $(wildcard Examples/*/Package.swift) $(wildcard Examples/*/Sources) $(wildcard Examples/*/Tests)
export SWIFT

.PHONY: help needs-swift all lib tool demo test test-heap test-allocators misuse soak forks real-programs examples sanitize bench bench-memory atomics bench-allocators bench-slabs bench-ranges bench-segments bench-cache bench-stream bench-server example-hummingbird check format lint disassembly instructions install uninstall clean

all: lib tool

## This list.
help:
	@awk '/^## /{t = substr($$0, 4); next} /^[a-z-]+:/{if (t) printf "make %-14s %s\n", substr($$1, 1, length($$1) - 1), t; t = ""}' Makefile

needs-swift:
	@command -v $(SWIFT) >/dev/null || { echo "Mallow needs a Swift toolchain, 6.2 or later, to build: see swift.org/install, or set SWIFT" >&2; exit 1; }

## build/lib/libmallow.so, build/lib/libmallow.a, build/include/mallow.h, build/lib/pkgconfig/mallow.pc
lib: needs-swift
	Scripts/build-library.sh build

## build/bin/mallow
tool: needs-swift
	$(SWIFT) build -c release $(TOOL_FLAGS) --product mallow
	mkdir -p build/bin
	cp -f "$$($(SWIFT) build -c release $(TOOL_FLAGS) --show-bin-path)/mallow" build/bin/mallow

## The main job: a real program (the Swift compiler, optimising a real file) under the system's malloc and under Mallow.
demo: all
	@echo
	@echo "The Swift compiler, optimising Tests/MallowABITests/Programs/concurrency.swift:"
	build/bin/mallow compare --rounds $(ROUNDS) -- \
		swiftc -O -parse-as-library -emit-object -o build/demo.o Tests/MallowABITests/Programs/concurrency.swift </dev/null

## All tests, under the sanitizers too; installs the programs that they run, where they are missing.
test: all
	Scripts/install-test-packages.sh
	Scripts/test.sh

## The table of Documentation/CaughtMisuse.md: 129 programs in each mode, twelve times: half a minute
misuse: lib
	Scripts/misuse.sh --write

## The heap's own tests alone: half a minute.
test-heap:
	$(SWIFT) test --filter MallocHeapTests

## The allocators' own tests alone.
test-allocators:
	$(SWIFT) test --filter 'RangeAllocatorsTests|AllocatorCoreTests|ComposableAllocatorsTests|SlabArenasTests|SegmentedBuffersTests|AllocatorTestKitTests'

## Twenty minutes of threads, bursts and changing sizes, memory bounded, and two in each other mode. ARGS=60: a minute.
soak: lib
	Scripts/endurance.sh soak $(or $(ARGS),1200)

## Ten thousand forks of a program whose threads allocate, in each of seven modes: 20 minutes. ARGS=1000 for fewer.
forks: lib
	Scripts/endurance.sh forks $(or $(ARGS),10000)

## Compilers, interpreters, a database, a server, and what else the tests run: each in every mode, and short of memory.
real-programs: lib
	Scripts/install-test-packages.sh
	MALLOW_TEST_ALL_MODES=1 MALLOW_LIBRARY="$(CURDIR)/build/lib/libmallow.so" \
		$(SWIFT) test --filter 'RealProgramTests|CompilerTests'

## The packages under Examples/, built and run.
examples:
	Scripts/examples.sh

## One of them alone, a Hummingbird server, which `make test` leaves out: 4.5 minutes of a processor to build.
example-hummingbird: needs-swift
	Scripts/examples.sh hummingbird

## The heap's and the allocators' tests under the address and thread sanitizers.
sanitize:
	Scripts/sanitize.sh

## Mallow beside the other mallocs of this machine. Options by ARGS="--workload random-small --rounds 9".
bench: lib
	Benchmarks/Scripts/bench.sh $(ARGS)

## what stays resident when a burst is over, beside the other mallocs; ARGS="--rounds 5" for more than a look
bench-memory: lib
	Benchmarks/Scripts/bench.sh --memory --rounds 1 $(ARGS)

## Atomic operations and writes to shared cache lines, of each malloc in each workload, counted by valgrind: half an hour.
atomics: lib
	Benchmarks/Scripts/bench.sh --atomics $(ARGS)

## The allocators beside malloc, std::pmr and Boost.Pool; installs libboost-dev where it is missing. Options by ARGS.
bench-allocators: needs-swift
	Benchmarks/Scripts/bench-allocators.sh $(ARGS)

## Slab arenas beside malloc with a count, std::shared_ptr and SwiftNIO's ByteBuffer. Options by ARGS.
bench-slabs: needs-swift
	Benchmarks/Scripts/bench-slabs.sh $(ARGS)

## Range allocators beside std::map, Boost.Intrusive and VMA's virtual blocks, whose headers it gets. Options by ARGS.
bench-ranges: needs-swift
	Benchmarks/Scripts/bench-ranges.sh $(ARGS)

## Scalable memory, segmented buffers and their reader beside malloc, [UInt8] and ByteBuffer. Options by ARGS.
bench-segments: needs-swift
	Benchmarks/Scripts/bench-segments.sh $(ARGS)

## The cache server beside Debian's memcached, which it installs where it is missing: 8 minutes. Options by ARGS.
bench-cache: needs-swift
	Examples/CacheServer/Scripts/bench-cache.sh $(ARGS)

## The stream server on Mallow, on [UInt8] and on ByteBuffer; installs ffmpeg where it is missing. Options by ARGS.
bench-stream: needs-swift
	Examples/StreamServer/Scripts/bench-stream.sh $(ARGS)

## A Hummingbird server under wrk, on Mallow and on the other mallocs, which it installs with wrk. Options by ARGS.
bench-server: lib
	Examples/HummingbirdServer/Scripts/bench-server.sh $(ARGS)

## The hit paths of malloc, free and buckets, as instructions.
disassembly: lib
	Scripts/disassembly.sh

## Instructions per call, counted by callgrind.
instructions: lib
	$(SWIFT) build -c release --package-path Benchmarks
	Benchmarks/Scripts/instructions.sh build/lib/libmallow.so

## Formatting, layers, and the names of the C functions.
check: lint
	Scripts/check-layers.sh
	Scripts/check-names.sh

lint:
	$(SWIFT) format lint --strict --recursive --parallel $(SOURCES)

format:
	$(SWIFT) format --in-place --recursive --parallel $(SOURCES)

## Copies what `make` built. PREFIX and DESTDIR as usual; needs no toolchain.
install:
	@test -x build/bin/mallow -a -f build/lib/libmallow.so.0 || { echo "run 'make' first" >&2; exit 1; }
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/lib/pkgconfig" "$(DESTDIR)$(PREFIX)/include"
	install -m 755 build/bin/mallow "$(DESTDIR)$(PREFIX)/bin/mallow"
	install -m 755 build/lib/libmallow.so.0 "$(DESTDIR)$(PREFIX)/lib/libmallow.so.0"
	ln -sf libmallow.so.0 "$(DESTDIR)$(PREFIX)/lib/libmallow.so"
	install -m 644 build/lib/libmallow.a "$(DESTDIR)$(PREFIX)/lib/libmallow.a"
	install -m 644 build/include/mallow.h "$(DESTDIR)$(PREFIX)/include/mallow.h"
	install -m 644 build/lib/pkgconfig/mallow.pc "$(DESTDIR)$(PREFIX)/lib/pkgconfig/mallow.pc"

uninstall:
	rm -f "$(DESTDIR)$(PREFIX)/bin/mallow" "$(DESTDIR)$(PREFIX)/lib/libmallow.so.0" \
		"$(DESTDIR)$(PREFIX)/lib/libmallow.so" "$(DESTDIR)$(PREFIX)/lib/libmallow.a" \
		"$(DESTDIR)$(PREFIX)/include/mallow.h" "$(DESTDIR)$(PREFIX)/lib/pkgconfig/mallow.pc"

clean:
	rm -rf build .build Package.resolved $(foreach p,Benchmarks Tests/ClientPackage Tests/AdaptersPackage Tests/MallocClientPackage $(wildcard Examples/*),$(p)/.build $(p)/Package.resolved)

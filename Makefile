# A thin front for CMake: every target first makes sure that what it needs is installed.
#   make          the program and the library, in build/
#   make demo     the same, then captions for the bundled clips
#   make test     every test; ends with "N passed, N failed, N skipped"
#   make model    trains the default model again, from nothing (see models/)
#   make reproduce  the paper's comparisons on the toy world: hours; stopped, it goes on (docs/EXPERIMENTS.md)
#   make bench    speed, as a CSV, also as fractions of the machine's own matrix product
#   make bench-scaling  how time and memory grow with frames, pixels, sound, beams, batch
#   make bench-peers    the same work by PyTorch, ONNX Runtime and OpenVINO beside it (6 GB from PyPI)
#   make install  to PREFIX (default /usr/local); DESTDIR is honoured
#   make lint     layers and formatting;  make format rewrites the sources
BUILD ?= build
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
PREFIX ?= /usr/local
PRESET ?= release

.PHONY: all setup configure demo test model reproduce bench bench-scaling bench-peers install lint format clean

all: configure
	@cmake --build $(BUILD) --parallel $(JOBS) --target program

setup:
	@tools/setup.sh

configure: setup
	@if [ ! -f $(BUILD)/build.ninja ] && [ ! -f $(BUILD)/Makefile ]; then \
	    generator=; command -v ninja >/dev/null && generator="-G Ninja"; \
	    cmake --preset $(PRESET) -B $(BUILD) $$generator; \
	fi

demo: all
	@tools/demo.sh $(BUILD)

test: configure
	@cmake --build $(BUILD) --parallel $(JOBS)
	@tools/run-tests $(BUILD) $(JOBS)

model: all
	@tools/train-default-model.sh $(BUILD)

reproduce: all
	@$(BUILD)/earshot reproduce --out out/reproduce $(REPRODUCE)

bench: configure
	@cmake --build $(BUILD) --parallel $(JOBS)
	@tools/run-bench.sh $(BUILD) $(BENCH)

bench-scaling: configure
	@cmake --build $(BUILD) --parallel $(JOBS)
	@$(BUILD)/bench/bench_scaling -o $(BUILD)/bench/scaling.png | tee $(BUILD)/bench/scaling.csv

bench-peers: configure
	@cmake --build $(BUILD) --parallel $(JOBS)
	@tools/bench-peers/run.sh $(BUILD) $(PEERS)

install: all
	@cmake --install $(BUILD) --prefix $(PREFIX)

lint:
	@tools/check-layers
	@tools/check-format || [ $$? -eq 77 ]

format:
	@find src include tests bench examples -name '*.[ch]' -exec clang-format -i {} +

clean:
	@rm -rf $(BUILD)

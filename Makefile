# make demo   search, plot, export and verify on real digits, in a few minutes
# make test   lint, type-check and test, as CI does
# make test-slow  the tests of half a minute and more, which make test leaves out
# make pictures  the pictures of the README and the docs, from the demo
# make screenshots  every page of the dashboard in light and dark, of the demo, into screenshots/
# make bench  our kernels and networks beside onnxruntime, torch and numkong, in a few minutes
# make bench-cycles  cycles of inner loops on ARM and x86 CPUs that need not be here, as llvm-mca predicts them, in a minute
# make bench-training  a step of training of each kind of block, width and precision, beside a plain torch network
# make reproduce DATA=FOLDER  the trainings of docs/results.md on CIFAR-10, in a day; goes on where it was interrupted
# make networks  every published network in every precision, a step of training, compiled, beside torch
# make proof-networks  500 random networks of every space and precision on every target that runs here, beside torch, in an hour; goes on where it was interrupted
# make bench-measuring  a search that measures what its front needs, beside one that measures everything
# make bench-dashboard  how long the page of a search of 10,000 trials takes in a browser, in four minutes
# make bench-ledger  many processes that claim trials and end them in one ledger, in two minutes
# make bench-search  every search algorithm on tables of trained networks, beside Optuna's, in an hour or two
# make bench-search-table CIFAR=FOLDER  the trainings behind these tables, in an hour or two
# make soak  kills searches 1,000 times on SQLite, 300 times on PostgreSQL, 50 times on Ray, and looks for what is lost, in an hour
# make accuracy  how far predicted latencies are from measured ones, here and over RPC, in an hour or two

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := demo
# A share of what the median architecture of the space takes here, or a time: make demo DEMO_LIMIT=0.02ms
DEMO_LIMIT ?= 0.5x

.DEFAULT_GOAL := help
.PHONY: help install demo pictures screenshots bench bench-cycles bench-dashboard bench-ledger bench-measuring bench-search bench-search-table bench-training reproduce networks proof-networks soak accuracy test test-slow lint types unit format clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# The commands are printed as they run; they are the README's.
demo: $(STAMP)
	rm -rf $(DEMO) && mkdir $(DEMO)
	$(BIN)/nas search --name demo --space tiny --data digits --trials 40 --epochs 10 --workers 2 \
		--max-latency $(DEMO_LIMIT) --storage sqlite:///$(DEMO)/nas.db
	$(BIN)/nas pareto demo --plot $(DEMO)/pareto.html --storage sqlite:///$(DEMO)/nas.db
	$(BIN)/nas export demo -o $(DEMO)/winner --storage sqlite:///$(DEMO)/nas.db
	$(BIN)/nas verify $(DEMO)/winner --storage sqlite:///$(DEMO)/nas.db
	$(BIN)/python $(DEMO)/winner/predict.py
	@echo
	@echo 'Done. Next:'
	@echo '  $(BIN)/nas dashboard --storage sqlite:///$(DEMO)/nas.db    the search in your browser'
	@echo '  $(BIN)/nas trials demo --storage sqlite:///$(DEMO)/nas.db  every trial'
	@echo '  $(DEMO)/pareto.html, $(DEMO)/winner/README.md                   the front and the winner'

# Needs chromium, the system's or playwright's.
pictures: $(STAMP)
	test -e $(DEMO)/pareto.html || $(MAKE) demo
	$(BIN)/python -m benchmarks.picture $(DEMO)/pareto.html docs/front.svg
	$(BIN)/nas search --name random --sampler random --space tiny --data digits --trials 40 --epochs 10 --workers 2 \
		--max-latency $(DEMO_LIMIT) --storage sqlite:///$(DEMO)/nas.db
	$(BIN)/python -m benchmarks.pages sqlite:///$(DEMO)/nas.db docs/dashboard \
		--named-in README.md --named-in docs/dashboard.md

screenshots: $(STAMP)
	test -e $(DEMO)/nas.db || $(MAKE) demo
	$(BIN)/python -m benchmarks.pages sqlite:///$(DEMO)/nas.db screenshots

# Fewer trials, or a ledger that is there: make bench-dashboard DASHBOARD='--trials 2000'
bench-dashboard: $(STAMP)
	$(BIN)/python -m benchmarks.dashboard $(DASHBOARD)

# On one thread; a quiet machine gives the steadiest ratios. make bench BENCH='--only resnet20'
BENCH ?= --json benchmarks/latest.json
bench: $(STAMP)
	$(BIN)/python -m benchmarks $(BENCH)

# The best of five schedules: make bench-cycles CYCLES='--schedules 5'
CYCLES ?=
bench-cycles: $(STAMP)
	$(BIN)/python -m benchmarks.cycles $(CYCLES)

# Some of it: make bench-training TRAINING='--only fire --kernel 5'
TRAINING ?=
bench-training: $(STAMP)
	$(BIN)/python -m benchmarks.training $(TRAINING)

# One row: make reproduce DATA=cifar10 ROWS=resnet20-float
ROWS ?=
reproduce: $(STAMP)
	@test -n "$(DATA)" || { echo 'DATA: the folder with CIFAR-10 is missing; give make reproduce DATA=FOLDER' >&2; exit 2; }
	$(BIN)/python -m benchmarks.reproduce --data $(DATA) --only '$(ROWS)'

# AlexNet, with its 60 million weights, takes a part of an hour by itself.
networks: $(STAMP)
	$(BIN)/python -m benchmarks.networks

# Fewer: make proof-networks PROOF='--networks 50 --target aarch64', only ONNX files: PROOF='--target onnx', in C on
# an emulated microcontroller: PROOF='--networks 100 --target cortex-m4', of one precision: PROOF='--precision lq2'
PROOF ?=
proof-networks: $(STAMP)
	$(BIN)/python -m benchmarks.proof $(PROOF)

# What docs/latency.md shows. On a quiet machine; goes on where it was interrupted.
ACCURACY := accuracy
JUDGE = nas latency evaluate --space tiny --networks 200 --storage sqlite:///$(ACCURACY)/nas.db
LEARN = nas latency calibrate --space tiny --minutes 12 --storage sqlite:///$(ACCURACY)/nas.db
accuracy: $(STAMP)
	mkdir -p $(ACCURACY)
	$(BIN)/$(LEARN)
	$(BIN)/$(JUDGE) --plot $(ACCURACY)/local.html --json > $(ACCURACY)/local.json
	$(BIN)/python -m benchmarks.picture $(ACCURACY)/local.html $(ACCURACY)/local.svg
	$(BIN)/nas device add loop --rpc 127.0.0.1:9191 --key loop --storage sqlite:///$(ACCURACY)/nas.db || true
	$(BIN)/nas device serve --port 9191 --key loop & trap "kill $$!" EXIT; sleep 5; \
		$(BIN)/$(LEARN) --device loop && \
		$(BIN)/$(JUDGE) --device loop --plot $(ACCURACY)/rpc.html --json > $(ACCURACY)/rpc.json
	$(BIN)/python -m benchmarks.picture $(ACCURACY)/rpc.html $(ACCURACY)/rpc.svg
	$(BIN)/python -m benchmarks.predictions --storage sqlite:///$(ACCURACY)/nas.db
	$(BIN)/python -m benchmarks.repeat
	$(BIN)/python -m benchmarks.repeat --loaded

# In PostgreSQL: make bench-ledger LEDGER='--storage postgresql+psycopg://user@host/empty --processes 64 --each 200'
bench-ledger: $(STAMP)
	$(BIN)/python -m benchmarks.ledger $(LEDGER)
	$(BIN)/python -m benchmarks.ledger_depth

# Other options of nas search: make bench-measuring SEARCH='--space cifar --data photos --image-size 32 --trials 16'
SEARCH ?= --space tiny --data digits --trials 30 --epochs 3 --workers 2
bench-measuring: $(STAMP)
	$(BIN)/python -m benchmarks.measuring $(SEARCH)

# Goes on where it was interrupted. After a change of an algorithm: make bench-search BENCH_SEARCH='--only auto --again'
BENCH_SEARCH ?=
bench-search: $(STAMP)
	$(BIN)/python -m benchmarks.search --docs docs/search.md --picture docs/search.svg \
		--json benchmarks/search/results.json $(BENCH_SEARCH)
	$(BIN)/python -m benchmarks.search.speed --docs docs/search.md
	$(BIN)/python -m benchmarks.search.stopping --docs docs/search.md
	$(BIN)/python -m benchmarks.search.savings --docs docs/search.md

# Adds what the tables lack; remove one to train all of it again.
bench-search-table: $(STAMP)
	@test -n "$(CIFAR)" || { echo 'CIFAR: the folder with CIFAR-10 is missing; give make bench-search-table CIFAR=FOLDER' >&2; exit 2; }
	$(BIN)/python -m benchmarks.search.train_digits
	$(BIN)/python -m benchmarks.search.train_cifar --data $(CIFAR)

# Fewer: make soak SQLITE='--kills 50' POSTGRESQL='--kills 20 --server-kills 5' RAY='--kills 5 --server-kills 1'
SQLITE ?= --kills 1000 --json benchmarks/soak/sqlite.json
POSTGRESQL ?= --kills 300 --server-kills 50 --json benchmarks/soak/postgresql.json
RAY ?= --kills 50 --server-kills 8 --workers 2 --json benchmarks/soak/ray.json
soak: $(STAMP)
	$(BIN)/python -m benchmarks.soak --database sqlite $(SQLITE)
	$(BIN)/python -m benchmarks.soak --database postgresql $(POSTGRESQL)
	$(BIN)/python -m benchmarks.soak --database ray $(RAY)

# The types are checked while the tests run: one of them waits often enough.
test: lint
	$(MAKE) --jobs=2 types unit

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

# Many tests wait: three at once keep two cores busy. The slowest are listed at the end.
unit: $(STAMP)
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m 'not slow' --durations=40 --durations-min=2

test-slow: $(STAMP)
	$(BIN)/python -m pytest -n 2 -m slow

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(DEMO) *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

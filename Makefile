# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

.PHONY: demo docs site notebooks pictures test lint types unit test-slow test-crashpoints test-fault test-cluster test-hdfs test-gcs bench format clean install \
	test-newest constraints fuzz

# Where the tests are installed, the demo uses their environment; else a small one.
DEMO_BIN := $(if $(wildcard $(BIN)/.installed),$(BIN),build/demo/bin)

demo: $(DEMO_BIN)/.installed  ## draw a dataset, build it, verify it, look at it
	rm -rf $(DEMO)
	$(DEMO_BIN)/segdata sample camvid $(DEMO)/street --train 48 --val 12
	$(DEMO_BIN)/segdata build camvid $(DEMO)/street $(DEMO)/records
	$(DEMO_BIN)/segdata verify $(DEMO)/records
	$(DEMO_BIN)/segdata stats $(DEMO)/records --html $(DEMO)/report.html
	$(DEMO_BIN)/segdata show $(DEMO)/records --output $(DEMO)/grid.png
	@echo
	@echo "Look at $(DEMO)/grid.png (records with their masks) and $(DEMO)/report.html."
	@echo "The images are in $(DEMO)/street, the records in $(DEMO)/records."
	@echo "Next: $(DEMO_BIN)/segdata info $(DEMO)/records"

build/demo/bin/.installed: setup.py constraints.txt segdata/masks/_runs.c
	@echo "Installing segdata without TensorFlow into build/demo:"
	@echo "130 MB to download, 510 MB on disk, about two minutes. Only once."
	$(PYTHON) -m venv build/demo
	build/demo/bin/pip install --quiet --constraint constraints.txt setuptools wheel
	build/demo/bin/pip install --constraint constraints.txt --no-build-isolation \
		--editable .
	touch $@

test: $(BIN)/.installed lint types unit  ## everything that CI runs

lint: $(BIN)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell

# An installed copy: there pipelines and trainers are inside segdata, as users have it.
types: $(BIN)/.installed
	rm -rf build/types build/lib build/bdist*
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --target build/types .
	$(BIN)/mypy build/types/segdata tests/typed_script.py

# Each process begins with one half of the tests, in order: fixtures are made once.
unit: $(BIN)/.installed
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow"

test-slow: $(BIN)/.installed  ## the long trials; test-fault, -cluster, -hdfs, -gcs are among them
	$(BIN)/pip install --quiet --no-build-isolation --editable ".[dev,interop]"
	$(BIN)/python -m pytest -q -m slow

test-crashpoints: $(BIN)/.installed  ## a crash before every rename, removal and sync
	$(BIN)/python -m pytest -q -s -m "slow or not slow" tests/pipelines/test_crashpoints.py

test-fault: $(BIN)/.installed  ## 30 kills, full and read-only disks, on the real COCO
	$(BIN)/python -m pytest -q -m "slow or not slow" tests/pipelines/test_faults.py

test-cluster: $(BIN)/.installed  ## Flink, Spark, Prism, Dask; the job graph of Dataflow
	$(PYTHON) -m venv build/clusters/venv  # Google's packages change others' versions
	build/clusters/venv/bin/pip install --quiet "setuptools>=77" wheel
	build/clusters/venv/bin/pip install --quiet --no-build-isolation \
		--editable ".[dev,cluster]"
	$(BIN)/python clusters/fetch.py build/clusters flink spark prism
	build/clusters/venv/bin/python -m pytest -q -m "slow or not slow" \
		tests/pipelines/test_clusters.py \
		tests/pipelines/test_dataflow.py tests/pipelines/test_portable.py

test-hdfs: $(BIN)/.installed  ## a real HDFS on loopback: a namenode and a datanode
	$(BIN)/python clusters/fetch.py build/clusters hdfs
	$(BIN)/python -m pytest -q -m "slow or not slow" tests/pipelines/test_hdfs.py

test-gcs: $(BIN)/.installed  ## a GCS emulator with preconditions and parallel requests
	$(BIN)/python clusters/fetch.py build/clusters fake-gcs-server
	$(BIN)/python -m pytest -q -m "slow or not slow" -k fake-gcs-server \
		tests/pipelines/test_storage.py tests/segdata/storage/test_paths.py

SECONDS ?= 60
fuzz: $(BIN)/.installed  ## every parser for SECONDS each; the C part under sanitizers
	$(BIN)/pip install --quiet "atheris>=3"
	$(BIN)/python tests/fuzz/fuzz.py --seconds $(SECONDS)
	$(BIN)/python tests/fuzz/sanitized.py

bench: $(BIN)/.installed
	$(BIN)/python benchmarks/bench_rle.py
	$(BIN)/python benchmarks/bench_masks.py
	$(BIN)/python benchmarks/bench_read.py
	$(BIN)/python benchmarks/bench_build.py
	$(BIN)/python benchmarks/bench_build_coco.py
	$(BIN)/python benchmarks/bench_stats.py

docs: $(BIN)/.installed  ## the pages that follow from the code
	$(BIN)/python docs/generate.py

# -W: a broken link or name, or a page that no list has, fails. -E: no page of before.
site: $(BIN)/.installed  ## the pages as a site in build/site, with the Python reference
	$(BIN)/pip install --quiet --constraint constraints.txt --no-build-isolation \
		--editable ".[docs]"
	$(BIN)/python docs/site/stage.py build/site-pages
	$(BIN)/python -m sphinx -q -E -W --keep-going -b html build/site-pages build/site
	@echo "open build/site/index.html"

notebooks: $(BIN)/.installed  ## run the notebooks of examples/ and keep their outputs
	$(BIN)/pip install --quiet --constraint constraints.txt --no-build-isolation \
		--editable ".[notebooks]"
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python examples/run_notebooks.py

pictures: $(BIN)/.installed  ## the pictures of README and docs
	$(BIN)/python docs/draw_pictures.py

format: $(BIN)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

install: $(BIN)/.installed

# Every version is pinned, so that a fresh clone passes next year too.
$(BIN)/.installed: setup.py pyproject.toml constraints.txt $(wildcard segdata/masks/_*.[ch])
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --upgrade pip setuptools wheel
	rm -f segdata/masks/_runs*.so  # one of before would be imported in its place
	$(BIN)/pip install --quiet --constraint constraints.txt --no-build-isolation \
		--editable ".[dev]"
	touch $@

build/newest/bin/python: setup.py
	$(PYTHON) -m venv build/newest
	build/newest/bin/pip install --quiet --upgrade pip setuptools wheel
	build/newest/bin/pip install --quiet --upgrade --upgrade-strategy eager \
		--no-build-isolation --editable ".[dev,docs]"

test-newest: build/newest/bin/python  ## the tests with the newest version of everything
	build/newest/bin/python -m pytest -q -n 2 --dist worksteal -m "not slow"

constraints: build/newest/bin/python  ## pin what test-newest passed with
	build/newest/bin/pip freeze --all --exclude-editable > constraints.txt

clean:
	rm -rf build dist *.egg-info $(DEMO) $(VENV)

# jsrpd: everything a newcomer needs. `make lab` and `make test` install what they need by themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SEEDS  ?= 200
EVERY  ?= 1
DEPTH  ?= 1
RUNS   ?= 5
SOURCES := src simulator bench tests tools
TOOLS   := ip nft conntrack ping groff

.PHONY: lab test test-unit test-lab test-simulation deb check bench simulate simulate-compiled simulate-mutants model-check clean venv
.PHONY: system bench-system bench-sessions

venv: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml requirements.lock
	@command -v $(PYTHON) >/dev/null && $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || $(MAKE) -s python-system
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@# Where Python may not write beside its sources, every command would compile what it imports, each time anew.
	$(BIN)/python -m compileall -q src $(VENV)/lib
	@touch $@

.PHONY: python-system
python-system:
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3 python3-venv >/dev/null

system:
	@for tool in $(TOOLS); do command -v $$tool >/dev/null || missing=1; done; \
	if [ -n "$$missing" ]; then \
	  echo "installing: iproute2 nftables conntrack iputils-ping groff-base"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq iproute2 nftables conntrack iputils-ping groff-base >/dev/null; \
	fi

lab: system venv
	@$(BIN)/jsrp lab demo

# Programs that the tests meet are unpacked, not installed: nobody wants servers started for them.
PEERS := $(VENV)/peers/.ready
MET   := prometheus etcd-server rsyslog rsyslog-openssl libestr0 libfastjson4 openssh-server libwrap0

SNMP  := snmp snmpd snmptrapd

$(PEERS): $(VENV)/.ready tests/peers.lock tests/schemathesis.lock Makefile
	@mkdir -p $(@D) && cd $(@D) && { apt-get download -qq $(MET) 2>/dev/null || { apt-get update -qq && apt-get download -qq $(MET); }; } && \
	  for package in *.deb; do dpkg-deb -x $$package . && rm $$package; done
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --upgrade --target $(@D)/python -r tests/peers.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --upgrade --target $(@D)/schemathesis -r tests/schemathesis.lock
	@cd $(@D) && apt-get download -qq $(SNMP) $$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
	  --no-replaces --no-enhances $(SNMP) 2>/dev/null | grep -E '^lib(snmp|netsnmp|sensors|mariadb|perl|pci)[^:]*$$' | sort -u) && \
	  for package in *.deb; do dpkg-deb -x $$package . && rm $$package; done || echo "without net-snmp: its tests are skipped"
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
	@touch $@

# Requests that the REST interface's own description allows, and others, against a real daemon (root).
SECONDS ?= 600
.PHONY: fuzz-http
fuzz-http: system peers
	JSRPD_FUZZ_SECONDS=$(SECONDS) $(BIN)/pytest tests/end_to_end/test_rest_fuzz.py

# Wire, configuration and HTTP parsers, searched with atheris for SECONDS in all; TARGET=link (or another of tests/fuzz/targets.py) alone.
.PHONY: fuzz
fuzz: venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --upgrade --target $(VENV)/fuzz -r tests/fuzz/atheris.lock
	PYTHONPATH=$(VENV)/fuzz $(BIN)/python -m tests.fuzz.guided --seconds $(SECONDS) $(TARGET:%=--target %)

# The documentation as a site, in build/site.
.PHONY: site
site: venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --upgrade --target $(VENV)/site -r tools/site.lock
	PYTHONPATH=$(VENV)/site $(BIN)/python -m mkdocs build --strict --quiet

# A bare Debian for the test of the container's recipe (root, network).
RELEASE ?= bookworm
.PHONY: container-root
container-root:
	@command -v debootstrap >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq debootstrap >/dev/null; }
	@mkdir -p build && debootstrap --variant=minbase $(RELEASE) build/debian >/dev/null && cp /etc/resolv.conf build/debian/etc/resolv.conf

.PHONY: peers
peers: venv
	-@$(MAKE) -s $(PEERS)

# A lab waits most of the time, so each core has one, and each file of tests keeps to its own.
LABS := -n auto --dist loadfile

# What is decided, sent and said is covered to the last branch, or this fails (pyproject.toml, tool.coverage).
COVERED := tests/unit tests/scenario tests/fuzz

test: system peers test-unit
	$(BIN)/pytest tests $(COVERED:%=--ignore=%) $(LABS)

test-unit: venv
	$(BIN)/pytest $(COVERED) --cov --cov-report=term -n auto

test-lab: system venv
	$(BIN)/pytest tests/end_to_end $(LABS)

deb: venv
	$(BIN)/python -m tools.debian

.PHONY: wheel
wheel: venv
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .

check: venv
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

test-simulation: venv
	$(BIN)/pytest tests/simulation -n auto

simulate: venv
	$(BIN)/python -m simulator --seeds $(SEEDS)

simulate-compiled: venv
	$(BIN)/python -m simulator.compiled --seeds $(SEEDS)

simulate-mutants: venv
	@mkdir -p build
	$(BIN)/python -m simulator.mutants --every $(EVERY) --results build/mutants.txt

model-check: venv
	$(BIN)/python -m simulator.model_check --faults $(DEPTH) $(STATES:%=--states %)

bench-system: system
	@command -v keepalived >/dev/null && command -v conntrackd >/dev/null || \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq keepalived conntrackd >/dev/null; }

bench: bench-system venv
	@$(BIN)/python -m bench --runs $(RUNS)
	@$(BIN)/python -m bench.sessions

bench-sessions: bench-system venv
	@$(BIN)/python -m bench.sessions

.PHONY: bench-management
bench-management: system venv
	@$(BIN)/python -m bench.management

clean:
	-@$(BIN)/jsrp lab down 2>/dev/null
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

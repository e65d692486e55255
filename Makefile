## make demo         install, train the book's chapter-8 agent on CartPole, evaluate it, draw curve and video
## make test         install what developers need, run ruff, mypy and every test (some: PYTEST_ARGS="-k maze")
## make lint         ruff and mypy only
## make bench        install the peers and print every speed ratio (some: BENCH="cart-pole maze")
## make constraints  pin what setup.cfg asks for and constraints.txt lacks; to renew a pin, delete its line
## make clean        remove .venv, caches and build files; runs/ stays
##
## All of them install into .venv, once. Settings: PYTHON=python3.12 PIP_ARGS="--find-links wheels"

PYTHON ?= python3
PIP_ARGS ?=
PYTEST_ARGS ?= -n 2 --dist worksteal
BENCH ?= cart-pole maze dqn-cart-pole policy-cart-pole gradient-variance sac-pendulum car-racing \
    car-racing-parity car-racing-expert car-racing-return imitation atari mcts self-play supervised language
DEMO_TRAIN = dqn --preset book-ch8 --env skidpad/CartPole-v0 --seed 0 --run-dir runs/demo
DEMO_EVALUATE = runs/demo --episodes 100 --video 1

.NOTPARALLEL:
.PHONY: help demo test lint bench constraints clean drop-stale check-python \
    install-core install-dev install-bench

help:
	@sed -n 's/^## \{0,1\}//p' Makefile

demo: install-core
	@rm -rf runs/demo
	.venv/bin/python -m agents.train $(DEMO_TRAIN)
	.venv/bin/python -m agents.evaluate $(DEMO_EVALUATE)
	@echo
	@echo "curve:      runs/demo/curve.png"
	@echo "video:     " runs/demo/videos/*
	@echo "evaluation: runs/demo/evaluation.json"

test: lint
	.venv/bin/python -m pytest $(PYTEST_ARGS)

lint: install-dev
	.venv/bin/python -m ruff check .
	.venv/bin/python -m mypy

bench: install-bench
	@for name in $(BENCH); do .venv/bin/python -m tools.bench $$name || exit 1; done

# Resolves in a fresh environment under the pins already there; installs nothing.
constraints: check-python
	@set -e; \
	folder="$$(mktemp -d)"; \
	trap 'rm -rf "$$folder"' EXIT; \
	$(PYTHON) -m venv "$$folder"; \
	"$$folder/bin/python" -m pip install --quiet --dry-run --report "$$folder/report.json" \
	    --ignore-installed $(PIP_ARGS) -c constraints.txt -e '.[atari,bench,dev,evolution,games,learn,sb3,speech]'; \
	"$$folder/bin/python" -c 'import json, sys; \
	    packages = [item["metadata"] for item in json.load(open(sys.argv[1]))["install"]]; \
	    pins = {p["name"].lower().replace("_", "-"): p["version"].split("+")[0] for p in packages}; \
	    del pins["skidpad"]; \
	    open("constraints.txt", "w").writelines(f"{name}=={pins[name]}\n" for name in sorted(pins))' \
	    "$$folder/report.json"

clean:
	rm -rf .venv/*.stamp .venv build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find agents envs supervised tests tools -name __pycache__ -prune -exec rm -rf {} +

# .venv/place holds the folder and Python of .venv: once moved, copied or broken it is made anew, as its
# scripts name absolute paths. A stamp holds a sum of the files that say what belongs in .venv; it is written
# last, so an interrupted install leaves none.
PLACE = .venv/bin/python -c 'import sys; print(sys.prefix, *sys.version_info[:2])' 2>/dev/null
SUM = cat setup.cfg pyproject.toml constraints.txt | cksum

drop-stale:
	@if [ -e .venv/place ]; then [ "$$($(PLACE))" = "$$(cat .venv/place)" ]; \
	elif [ -d .venv ]; then .venv/bin/python -m pip --version >/dev/null 2>&1; fi || { \
	    echo "making .venv anew: it was moved, copied or broken"; \
	    rm -rf .venv/*.stamp .venv; \
	}; \
	for stamp in .venv/*.stamp; do \
	    if [ "$$(cat "$$stamp" 2>/dev/null)" != "$$($(SUM))" ]; then rm -f "$$stamp"; fi; \
	done

# $(error) ends with one line, where a failing recipe adds make's own.
check-python: drop-stale
	@$(if $(shell { [ -d .venv ] || \
	    $(PYTHON) -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))'; \
	    } >/dev/null 2>&1 && echo ok),,$(error \
	    $(PYTHON) is no Python >= 3.11 with venv; install one: sudo apt-get install python3-venv make))

install-core install-dev install-bench: install-%: check-python
	@set -e; \
	if [ -e .venv/$*.stamp ]; then exit; fi; \
	sum="$$($(SUM))"; \
	echo "installing skidpad$(EXTRA) into .venv; this takes some minutes (log: .venv/install.log)"; \
	if [ ! -d .venv ]; then $(PYTHON) -m venv .venv; fi; \
	$(PLACE) >.venv/place; \
	.venv/bin/python -m pip install $(PIP_ARGS) -c constraints.txt -e '.$(EXTRA)' >.venv/install.log 2>&1 || { \
	    tail -n 15 .venv/install.log >&2; \
	    exit 1; \
	}; \
	echo "$$sum" >.venv/core.stamp; \
	echo "$$sum" >.venv/$*.stamp

install-dev: EXTRA = [dev]
install-bench: EXTRA = [bench]

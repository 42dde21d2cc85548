# Two commands do everything: `make demo` and `make test`. Both make the virtual environment first.
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
# Passed on to pip, e.g. PIP_ARGS="--extra-index-url <PyTorch's index of CPU builds>" to save the CUDA download.
PIP_ARGS ?=
TEST_ARGS ?=
TEST_WORKERS ?= 2

export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo ros-demo test hardware test-hardware check format build numpy2 clean

help:
	@echo "make demo    install, then record, train, evaluate and report: outputs/demo/report.html"
	@echo "make ros-demo  the same over ROS 2: nodes, recorder, policy server: outputs/ros_demo/report.html"
	@echo "make test    install, then run all tests"
	@echo "make test-hardware  the drivers against the vendors' own software; make hardware installs that, in .venvs/"
	@echo "make check   install, then ruff and mypy"
	@echo "make format  rewrite the code as ruff formats it"
	@echo "make build   wheel and sdist, each tried out in a new environment"
	@echo "make numpy2  the core's tests on numpy 2, in an environment of its own"
	@echo "make clean   remove environments and build outputs (never recordings)"

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "robot_learning needs Python 3.11 or 3.12; found: $$(python3 --version 2>&1). \
	Install one (Debian and Ubuntu: apt-get install python3 python3-venv) or say make PYTHON=/path/to/python3.12." >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	echo "Python can't make virtual environments; mend it with: apt-get install python3-venv" >&2; exit 2; }

# robosuite's declared dependencies need a C compiler, for a keyboard device that nobody here uses: so --no-deps. Of
# Hello Robot's package only the descriptions of the robot are read.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24"
	$(BIN)/python -m pip install $(PIP_ARGS) -c constraints.txt -e ".[learn,sim,convert,deploy,calibrate,ros,dev]"
	$(BIN)/python -m pip install $(PIP_ARGS) -c constraints.txt numba qpsolvers quadprog scipy termcolor
	$(BIN)/python -m pip install $(PIP_ARGS) -c constraints.txt --no-deps robosuite mink hello-robot-stretch-urdf
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/robot-learning demo

ros-demo: $(VENV)/.installed
	$(BIN)/robot-learning ros-demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile --ignore=tests/hardware $(TEST_ARGS)

# Other makers' software, each in an environment of its own; where one can't be had, its tests say so and are skipped.
VENVS := .venvs
ENVIRONMENTS := tests/hardware/environments

$(VENV)/.hardware: $(VENV)/.installed
	$(BIN)/python -m pip install $(PIP_ARGS) -c constraints.txt -e ".[franka,realsense]"
	@touch $@

$(VENVS)/%/.installed: $(ENVIRONMENTS)/%.txt | $(BIN)/python
	@echo "make: the environment $(VENVS)/$*"
	@$(PYTHON) -m venv $(VENVS)/$* && $(VENVS)/$*/bin/python -m pip install --quiet $(PIP_ARGS) -r $< && \
	{ test ! -e $(ENVIRONMENTS)/$*-nodeps.txt || \
	$(VENVS)/$*/bin/python -m pip install --quiet $(PIP_ARGS) --no-deps -r $(ENVIRONMENTS)/$*-nodeps.txt; } && touch $@ || \
	echo "make: the environment '$*' can't be had here; its tests will be skipped." >&2

hardware: $(VENV)/.hardware $(foreach name,franka-sim franky-sim pylibfranka stretch lerobot,$(VENVS)/$(name)/.installed)

# One after another: simulated arms want their millisecond, and have fixed ports.
test-hardware: hardware
	$(BIN)/python -m pytest tests/hardware $(TEST_ARGS)

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

build: $(VENV)/.installed
	rm -rf dist
	$(BIN)/python -m build
	for file in dist/*.whl dist/*.tar.gz; do \
		rm -rf $(VENV)-build && $(BIN)/python -m venv $(VENV)-build && \
		$(VENV)-build/bin/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt $$file && \
		(cd / && $(abspath $(VENV))-build/bin/robot-learning --help) || exit 1; \
	done
	rm -rf $(VENV)-build

# robosuite holds the simulation extra at numpy 1.26; a robot's own computer has numpy 2, and so does this environment.
numpy2: | $(BIN)/python
	$(BIN)/python -m venv $(VENV)-numpy2
	sed -E 's/^numpy==.*/numpy>=2/' constraints.txt > $(VENV)-numpy2/constraints.txt
	$(VENV)-numpy2/bin/python -m pip install --quiet --upgrade "pip>=24"
	$(VENV)-numpy2/bin/python -m pip install --quiet $(PIP_ARGS) -c $(VENV)-numpy2/constraints.txt \
		-e ".[learn,convert,dev]" "mujoco==3.3.0" gymnasium imageio imageio-ffmpeg
	$(VENV)-numpy2/bin/python -m pytest $(TEST_ARGS) tests/data tests/drivers tests/policies tests/training tests/test_*.py

clean:
	rm -rf $(VENV) $(VENV)-build $(VENV)-numpy2 build dist install log *.egg-info

# `make` lists the targets. Every module of experiments/ is one: make table4_cheng ARGS="--scale smoke"
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
ARGS ?=

# Python 3.9 to 3.11 run stack tfc, newer ones keras3; Keras 3.15 itself begins with Python 3.11.
version = $(shell $(1) -c 'import sys; print("py%d%d" % sys.version_info[:2])' 2>/dev/null)
VERSION := $(call version,$(PYTHON))
STACK := $(if $(filter py39 py310 py311,$(VERSION)),tfc,keras3)
ifndef KERAS3_PYTHON
KERAS3_PYTHON := $(PYTHON)
ifneq ($(filter py39 py310,$(VERSION)),)
KERAS3_PYTHON := $(firstword $(foreach python,python3.12 python3.13 python3.11,$(if $(call version,$(python)),$(python))) $(PYTHON))
endif
endif
KERAS3_VERSION := $(call version,$(KERAS3_PYTHON))

# An environment is complete when its ready file is there and newer than its requirement file.
READY := .venv/ready-$(STACK)-$(VERSION)
KERAS3_READY := $(if $(filter keras3,$(STACK)),$(READY),.venv-keras3/ready-keras3-$(KERAS3_VERSION))
JAX_READY := .venv-jax/ready-keras3-jax-$(KERAS3_VERSION)
TORCH_READY := .venv-torch/ready-keras3-torch-$(KERAS3_VERSION)
requirements = docker/requirements-$(patsubst ready-%,%,$(notdir $(1))).txt
python = $(dir $<)bin/python

EXPERIMENTS := $(filter-out __%,$(basename $(notdir $(wildcard experiments/*.py))))
SOURCES := common papers experiments tests docker
STACK_TESTS := -m pytest -m "stack and not regression" $(ARGS)

.PHONY: help setup setup-keras3 setup-jax setup-torch test test-keras3 test-jax test-torch regression lint $(EXPERIMENTS)

help: ## list the targets
	@echo 'make <target> [ARGS="..."] [PYTHON=python3.11]'
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/  \1\t\2/p' Makefile | expand -t 24
	@echo 'experiments, each a published table, figure or claim:'
	@for name in $(EXPERIMENTS); do sed -n "1s/^\"\"\"/  $$name\t/p" experiments/$$name.py; done | expand -t 24

setup: $(READY) ## make .venv: stack tfc on Python 3.9 to 3.11, keras3 on 3.12 and 3.13
setup-keras3: $(KERAS3_READY) ## make .venv-keras3: Keras 3 on TensorFlow (Python 3.11 to 3.13)
setup-jax: $(JAX_READY) ## make .venv-jax: Keras 3 on jax, without TensorFlow
setup-torch: $(TORCH_READY) ## make .venv-torch: Keras 3 on torch (large)

test: $(READY) ## run the tests
	$(python) -m pytest $(ARGS)

test-keras3: $(KERAS3_READY) ## run the tests of models, weights, training and streams on Keras 3 with TensorFlow
	RELIC_STACK=keras3 KERAS_BACKEND=tensorflow $(python) $(STACK_TESTS)

test-jax: $(JAX_READY) ## the same on jax, without TensorFlow
	RELIC_STACK=keras3 KERAS_BACKEND=jax $(python) $(STACK_TESTS)

test-torch: $(TORCH_READY) ## the same on torch
	RELIC_STACK=keras3 KERAS_BACKEND=torch $(python) $(STACK_TESTS)

regression: $(READY) ## compare shipped weights and committed tables with the golden files
	$(python) -m pytest -m regression $(ARGS)

lint: $(READY) ## check style, import order and types
	$(python) -m flake8 $(SOURCES)
	$(python) -m isort --check-only --quiet $(SOURCES)
	$(python) -m mypy

$(EXPERIMENTS): $(READY)
	$(python) -m experiments.$@ $(ARGS)

# $(1): the Python to make it with. The ready file comes last, so an interrupted environment is made anew.
define make_environment
@echo 'making $(@D) from $<: once, some minutes'
$(1) -m venv --clear $(@D)
$(@D)/bin/python -m pip install -q --disable-pip-version-check -r $<
$(@D)/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
@touch $@
endef

$(READY): $(call requirements,$(READY))
	$(call make_environment,$(PYTHON))
ifneq ($(KERAS3_READY),$(READY))
$(KERAS3_READY): $(call requirements,$(KERAS3_READY))
	$(call make_environment,$(KERAS3_PYTHON))
endif
$(JAX_READY): $(call requirements,$(JAX_READY))
	$(call make_environment,$(KERAS3_PYTHON))
$(TORCH_READY): $(call requirements,$(TORCH_READY))
	$(call make_environment,$(KERAS3_PYTHON))

# docker/pin.py writes these; a missing one means that this Python does not run this stack.
docker/requirements-%.txt:
	@echo 'error: RELIC needs Python 3.9 to 3.13, Keras 3 needs 3.11 to 3.13: name one, as in make PYTHON=python3.11' >&2; exit 1

# `make` lists the targets. Every module of experiments/ is one: make table4_cheng ARGS="--scale smoke"
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
KERAS3_PYTHON ?= $(PYTHON)
ARGS ?=
# Processes that run the tests at once, one processor each; 0: this one, as --update-golden needs it.
WORKERS ?= 2

# Python 3.11 runs stack tfc, newer ones keras3; the targets for Keras 3 run on all of them.
PYTHONS := 3.11 3.12 3.13
version = $(shell $(1) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VERSION := $(call version,$(PYTHON))
KERAS3_VERSION := $(call version,$(KERAS3_PYTHON))
STACK := $(if $(filter 3.11,$(VERSION)),tfc,keras3)

# An environment is complete when its ready file is there and newer than its requirement file.
READY := .venv/ready-$(STACK)-$(VERSION)
KERAS3_READY := $(if $(filter keras3,$(STACK)),$(READY),.venv-keras3/ready-keras3-$(KERAS3_VERSION))
JAX_READY := .venv-jax/ready-keras3-jax-$(KERAS3_VERSION)
TORCH_READY := .venv-torch/ready-keras3-torch-$(KERAS3_VERSION)
# Ray is added to .venv.
CLUSTER_READY := .venv/ready-$(STACK)-cluster-$(VERSION)
# $(1): a stack, $(2): the version of the Python that is to run it.
requirements = $(if $(filter $(PYTHONS),$(2)),docker/requirements-$(1).txt,refused)
python = $(dir $<)bin/python

EXPERIMENTS := $(filter-out __% campaign,$(basename $(notdir $(wildcard experiments/*.py))))
SOURCES := common papers experiments tests docker
TESTS := -m pytest -n $(WORKERS) --dist loadfile
STACK_TESTS := $(TESTS) -m "stack and not regression and not devices and not cluster" $(ARGS)

.PHONY: help setup setup-keras3 setup-jax setup-torch setup-cluster
.PHONY: test test-quick test-keras3 test-jax test-torch test-devices test-cluster regression format lint campaign
.PHONY: $(EXPERIMENTS)

help: ## list the targets
	@echo 'make <target> [ARGS="..."] [PYTHON=python3.11] [WORKERS=2]'
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/  \1\t\2/p' Makefile | expand -t 24
	@echo 'experiments, each a published table, figure or claim:'
	@for name in $(EXPERIMENTS); do sed -n "1s/^\"\"\"/  $$name\t/p" experiments/$$name.py; done | expand -t 24

setup: $(READY) ## make .venv: stack tfc on Python 3.11, keras3 on 3.12 and 3.13
setup-keras3: $(KERAS3_READY) ## make .venv-keras3: Keras 3 on TensorFlow (Python 3.11 to 3.13)
setup-jax: $(JAX_READY) ## make .venv-jax: Keras 3 on jax, without TensorFlow
setup-torch: $(TORCH_READY) ## make .venv-torch: Keras 3 on torch (large)
setup-cluster: $(CLUSTER_READY) ## add Ray to .venv, for --cluster

test: $(READY) ## run the tests
	$(python) $(TESTS) $(ARGS)

test-quick: $(READY) ## run the tests but the slow ones, in two minutes
	$(python) $(TESTS) -m "not slow and not regression and not devices and not cluster" $(ARGS)

test-keras3: $(KERAS3_READY) ## run the tests of models, weights, training and streams on Keras 3 with TensorFlow
	RELIC_STACK=keras3 KERAS_BACKEND=tensorflow $(python) $(STACK_TESTS)

test-jax: $(JAX_READY) ## the same on jax, without TensorFlow
	RELIC_STACK=keras3 KERAS_BACKEND=jax $(python) $(STACK_TESTS)

test-devices: $(READY) $(KERAS3_READY) $(JAX_READY) ## train on two devices, and in two processes, as on one device
	$(python) -m pytest -m devices $(ARGS)
ifneq ($(KERAS3_READY),$(READY))
	RELIC_STACK=keras3 KERAS_BACKEND=tensorflow $(dir $(KERAS3_READY))bin/python -m pytest -m devices $(ARGS)
endif
	RELIC_STACK=keras3 KERAS_BACKEND=jax $(dir $(JAX_READY))bin/python -m pytest -m devices $(ARGS)

test-torch: $(TORCH_READY) ## the same on torch
	RELIC_STACK=keras3 KERAS_BACKEND=torch $(python) $(STACK_TESTS)

test-cluster: $(CLUSTER_READY) ## run the tests of --cluster on a Ray of two nodes on this machine
	$(python) -m pytest -m cluster tests/test_cluster.py $(ARGS)

regression: $(READY) ## compare shipped weights and committed tables with the golden files
	$(python) -m pytest -n $(WORKERS) --dist load -m regression $(ARGS)

format: $(READY) ## correct style and import order, and lay the sources out
	$(python) -m ruff check --fix $(SOURCES)
	$(python) -m ruff format $(SOURCES)

lint: $(READY) ## check style, import order, layout and types
	$(python) -m ruff check $(SOURCES)
	$(python) -m ruff format --check $(SOURCES)
	$(python) -m mypy

campaign: $(READY) ## train what the declared list of tables lacks, at low priority; ARGS="--minutes 170" or "--status"
	$(python) -m experiments.campaign $(ARGS)

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

$(READY): $(call requirements,$(STACK),$(VERSION))
	$(call make_environment,$(PYTHON))
ifneq ($(KERAS3_READY),$(READY))
$(KERAS3_READY): $(call requirements,keras3,$(KERAS3_VERSION))
	$(call make_environment,$(KERAS3_PYTHON))
endif
$(JAX_READY): $(call requirements,keras3-jax,$(KERAS3_VERSION))
	$(call make_environment,$(KERAS3_PYTHON))
$(TORCH_READY): $(call requirements,keras3-torch,$(KERAS3_VERSION))
	$(call make_environment,$(KERAS3_PYTHON))
$(CLUSTER_READY): $(READY) $(call requirements,$(STACK)-cluster,$(VERSION))
	$(@D)/bin/python -m pip install -q --disable-pip-version-check -r $(word 2,$^)
	@touch $@

.PHONY: refused
refused:
	@echo 'error: RELIC needs Python 3.11 to 3.13: name one, as in make PYTHON=python3.11' >&2; exit 1

# Linekeep: `make run` starts it, `make test` tests it. Both set up what they need; the second time that takes a moment.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUILD := build
PIP := $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --require-hashes --use-pep517 --only-binary :all:
LISTEN ?= 127.0.0.1:8090
DATA ?= var
VERSION := $(shell sed -n 's/^VERSION = "\(.*\)"/\1/p' firmware/box.py)
include image/pins

DEBIAN_RUN := gcc libc6-dev python3-dev python3-venv libspandsp-dev libtiff-dev libsndfile1 \
	asterisk-core-sounds-en-wav asterisk-core-sounds-fr-wav asterisk-core-sounds-es-wav asterisk-moh-opsound-wav \
	espeak-ng npm
DEBIAN_TEST := iproute2 cryptsetup-bin dosfstools e2fsprogs systemd chromium fonts-wqy-microhei sox gcin-voice asterisk-core-sounds-it-wav
# A box in software with the real driver: kernel headers to build it for, and what boots it.
DEBIAN_DAHDI := qemu-system-x86 mmdebstrap linux-headers-amd64 make binutils libarchive-tools zstd
# What the flashable image is made with, besides: boot code for BIOS and UEFI, file systems without mounting, a block map,
# and what does all that without root's rights.
DEBIAN_IMAGE := grub-common grub-pc-bin grub-efi-amd64-bin mtools dosfstools e2fsprogs fdisk kmod bmap-tools systemd fakeroot uidmap \
	rauc squashfs-tools openssl
DEBIAN_TESTIMAGE := ovmf swtpm
# Speech and music of the evaluation: some 400 MB to fetch.
DEBIAN_EVAL := asterisk-core-sounds-it-wav asterisk-core-sounds-ru-wav asterisk-prompt-es-co asterisk-prompt-fr-armelle \
	klettres-data ktuberling-data fillets-ng-data-nl fillets-ng-data-cs \
	hedgewars-data singularity-music asc-music

# Whose updates a box takes; without them it is a development build (docs/updates.md).
export SIGNING_KEY SIGNING_CERT SIGNING_KEYRING

.PHONY: help run test test-dahdi test-day image test-image bench eval pictures setup setup-test setup-eval lock clean lint types

help:
	@echo 'make run     start the box in software: daemon and page on loopback'
	@echo '             LISTEN=127.0.0.1:8090 and DATA=var may be set'
	@echo 'make test    style, types and every test'
	@echo 'make test-dahdi  thirty lines at once on the real DAHDI driver in a machine in software; DAHDI="--minutes 30"'
	@echo 'make test-day  a day of simulated traffic, held against what came off the lines; DAY="--hours 24 --lines 4"'
	@echo 'make image   the flashable disk and the update bundle, into build/image; SIGNING_KEY=... SIGNING_CERT=... for a release'
	@echo 'make test-image  starts it in a machine in software, sets it up from outside by a browser, records a call'
	@echo 'make bench   what a channel costs, beside libspandsp'
	@echo 'make eval    what the detectors reach, beside libspandsp; writes the tables of docs/detectors.md'
	@echo '             EVAL="--part seen talkoff" runs a part'
	@echo 'make pictures  the documents'"'"' pictures of the page, anew'
	@echo 'make lock    resolve the dependency files anew'
	@echo 'make clean   remove what was built (recordings under $(DATA)/ stay)'

run: setup
	@exec $(BIN)/python -m firmware.supervisor --listen '$(LISTEN)' --data '$(DATA)'

test: setup setup-test lint types
	@echo '== tests'
	@$(BIN)/python -m pytest

lint: setup
	@echo '== ruff'
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup
	@echo '== mypy'
	@$(BIN)/mypy

test-dahdi: setup setup-test
	@$(BIN)/python -m tests.dahdi $(DAHDI)

test-day: setup
	@$(BIN)/python -m tests.acceptance.day $(DAY)

image: setup $(BUILD)/debian-dahdi.done $(BUILD)/debian-image.done
	@echo '== image $(VERSION)'
	@image/build $(VERSION)

test-image: image $(BUILD)/debian-test.done $(BUILD)/debian-testimage.done
	@LINEKEEP_IMAGE=$(BUILD)/image/linekeep-$(VERSION)-amd64.img $(BIN)/python -m pytest tests/image

bench: setup
	@$(BIN)/python -m tests.bench

eval: setup setup-eval
	@$(BIN)/python -m tests.eval $(EVAL)

pictures: setup $(BUILD)/debian-test.done
	@$(BIN)/python -m tests.pictures

setup: $(BUILD)/debian-run.done $(VENV)/done $(BUILD)/bindings.done $(BUILD)/frontend.done $(BIN)/linekeep
# The tests' machine looks itself whether anything of it has changed.
setup-test: setup $(BUILD)/debian-test.done $(BUILD)/debian-dahdi.done $(BUILD)/debian-image.done
	@tests/dahdi/build-guest
setup-eval: $(BUILD)/debian-test.done $(BUILD)/debian-eval.done

# Debian packages: named before they are installed, and only those that are missing.
$(BUILD)/debian-%.done: Makefile image/debian-packages
	@mkdir -p $(BUILD)
	@image/debian-packages $(DEBIAN_$(shell echo $* | tr a-z A-Z))
	@touch $@

$(VENV)/done: requirements.lock requirements-build.lock $(BUILD)/debian-run.done
	@echo '== Python packages (pinned, with digests) into $(VENV)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) -r requirements-build.lock
	@$(PIP) --no-build-isolation --no-binary sdnotify -r requirements.lock
	@touch $@

# The driver's source, unpacked and not installed: its headers are what the binding is built from.
$(BUILD)/dahdi/source.done: image/pins image/fetch-deb
	@echo '== DAHDI source (pinned, with digest)'
	@image/fetch-deb dahdi-dkms $(DAHDI_VERSION) $(DAHDI_SHA256) $(BUILD)/dahdi/source
	@touch $@

$(BUILD)/bindings.done: $(BUILD)/dahdi/source.done $(wildcard cffi_bindings/build*.py) $(wildcard cffi_bindings/*.h) $(wildcard cffi_bindings/src/*) $(VENV)/done
	@echo '== C bindings'
	@$(BIN)/python -m cffi_bindings.build
	@touch $@

$(BUILD)/frontend.done: web_admin/package.json web_admin/package-lock.json web_admin/fetch-frontend $(BUILD)/debian-run.done
	@echo '== front-end files (pinned, with digests)'
	@web_admin/fetch-frontend $(BUILD)/npm web_admin/static/vendor
	@touch $@

# The command finds the project by its own place, so it can be called from any folder.
$(BIN)/linekeep: $(VENV)/done Makefile
	@printf '#!/bin/sh\nexec env PYTHONPATH="%s" "%s/python" -m firmware.cli "$$@"\n' '$(CURDIR)' '$(CURDIR)/$(BIN)' > $@
	@chmod +x $@

lock: $(VENV)/done
	@$(PYTHON) -m venv $(BUILD)/lock && $(BUILD)/lock/bin/pip install --quiet pip-tools
	@$(BUILD)/lock/bin/pip-compile --quiet --generate-hashes --no-header --no-emit-index-url --no-emit-trusted-host \
		--no-emit-find-links --no-emit-options --strip-extras --allow-unsafe --no-annotate \
		-o requirements.lock requirements-dev.in
	@sed -i '1i # Every package with the digests of its files; made by `make lock` from requirements.in and requirements-dev.in.' requirements.lock
	@{ echo '# What builds the packages that come as source; the same pins as in requirements.lock.'; \
		sed -n '/^setuptools==/,/[^\\]$$/p' requirements.lock; } > requirements-build.lock

clean:
	rm -rf $(BUILD) $(VENV) web_admin/static/vendor cffi_bindings/_*.c cffi_bindings/*.so

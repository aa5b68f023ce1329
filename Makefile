# An OOM reaper series for Linux: every task of this repository.
# Settings are variables: make vm KERNEL=baseline CMD='uname -a'

# As it was typed: a $ in a command is the shell's.
override CMD := $(value CMD)
export KERNEL CONFIG CMD FILES SMP MEM TIMEOUT ACCEL APPEND EXPECT LOG QUIET KTAP ICOUNT RUNS PUBLISH
export DIRS IMAGE MODULES TEST VERSION PREVIOUS SIGNOFF ROUNDS SEED MINUTES ONLY FORCE

.PHONY: help run test tree export check kernel selftest vm kunit matrix coverage soak compare
.PHONY: bench-reaper bench-notifier cocci docs apply deb series clean
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

run: ## boot the series, recover from OOM kills, print a table
	@scripts/scenarios

test: ## every test; KERNEL=series|baseline: one kernel's
	@scripts/test

soak: ## random kills, failing allocations: ROUNDS MINUTES SEED
	@scripts/soak

tree: ## linux/: the base and the series, one commit a patch
	@scripts/tree

export: ## write the commits in linux/ back to patches/
	@scripts/export

check: ## check patches, scripts, texts; builds no kernel
	@scripts/check

kernel: ## KERNEL=series|baseline CONFIG=vm|debug|kasan|kcsan|gcov
	@scripts/kernel

selftest: ## build the selftests for the VM, in build/selftest
	@scripts/selftest

vm: ## boot it, run CMD='...'; FILES QUIET KTAP TIMEOUT
	@vm/run

kunit: ## KUnit by kunit.py: ARCH=x86_64|i386|arm64|um
	@scripts/kunit

matrix: ## each patch, many configurations; KUnit; ONLY='...'
	@scripts/matrix

compare: ## stock against series: table, plots, growth; RUNS=5
	@scripts/compare

bench-reaper: ## time to free against its aims; instructions
	@scripts/bench-reaper

bench-notifier: ## instructions for a blocking MMU notifier range
	@scripts/bench-notifier

cocci: ## look for MMU notifiers that sleep, in the whole tree
	@scripts/cocci

docs: ## build the series' documents; fail on new warnings
	@scripts/docs

coverage: ## lines and branches that the tests run
	@scripts/coverage

apply: ## apply the series to your kernel tree: KDIR=/path
	@scripts/apply "$(KDIR)"

deb: ## Debian packages: CONFIG=/path, TEST=y
	@scripts/deb

series: ## the series as mails: VERSION=n, PREVIOUS=rev, SIGNOFF=y
	@scripts/series

clean: ## remove build/, but not linux/
	@scripts/clean

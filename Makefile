# An OOM reaper series for Linux: every task of this repository.
# Settings are variables: make vm KERNEL=baseline CMD='uname -a'

# As it was typed: a $ in a command is the shell's.
override CMD := $(value CMD)
export KERNEL CONFIG CMD FILES SMP MEM TIMEOUT ACCEL APPEND EXPECT LOG QUIET ICOUNT RUNS PUBLISH
export DIRS IMAGE MODULES TEST VERSION PREVIOUS SIGNOFF ROUNDS SEED MINUTES ONLY FORCE

.PHONY: help run test tree export check kernel selftest vm kunit matrix coverage soak compare
.PHONY: bench-reaper bench-notifier cocci docs apply deb series clean
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

run: ## build the patched kernel, boot it, recover from OOM kills, print a table
	@scripts/scenarios

test: ## run every test; KERNEL=series|baseline: those of one kernel
	@scripts/test

soak: ## random kills while allocations fail: ROUNDS, MINUTES, SEED, CONFIG
	@scripts/soak

tree: ## linux/: the base package with the series applied, one commit a patch
	@scripts/tree

export: ## write the commits in linux/ back to patches/
	@scripts/export

check: ## check the patches and scripts; builds no kernel
	@scripts/check

kernel: ## build a kernel: KERNEL=series|baseline CONFIG=vm|debug|kasan|kcsan|gcov
	@scripts/kernel

selftest: ## build the selftests for the VM, in build/selftest
	@scripts/selftest

vm: ## boot a kernel and run CMD='...' in it; FILES, SMP, MEM, TIMEOUT, APPEND
	@vm/run

kunit: ## run the KUnit suites with kunit.py: ARCH=x86_64|i386|arm64|um
	@scripts/kunit

matrix: ## build each patch, and many configurations; KUnit on each arch; a table; ONLY='...'
	@scripts/matrix

compare: ## stock against series, every scenario: a table, plots, how it grows; RUNS=5
	@scripts/compare

bench-reaper: ## time until a victim's memory is back, and costs, stock against series
	@scripts/bench-reaper

bench-notifier: ## instructions for a blocking MMU notifier range, stock against series
	@scripts/bench-notifier

cocci: ## look for MMU notifiers that sleep where they must not, in the whole tree
	@scripts/cocci

docs: ## build the documents that the series touches; fail on new warnings
	@scripts/docs

coverage: ## which lines and branches of the reaper and the notifiers run in the tests
	@scripts/coverage

apply: ## apply the series to your own kernel tree: KDIR=/path
	@scripts/apply "$(KDIR)"

deb: ## Debian packages of the patched kernel: CONFIG=/path, TEST=y
	@scripts/deb

series: ## the series as mails: VERSION=n, PREVIOUS=rev, SIGNOFF=y
	@scripts/series

clean: ## remove build/, but not linux/
	@scripts/clean

# shellcheck shell=sh
# What the scripts share. Sourced with $top, the repository, set.

# One series for now; a port to another base gets a directory of its own.
series_version=6.12
patches=$top/patches/$series_version
linux=$top/linux
build=$top/build
# What `make coverage` looks at: mm/*.c.
covered='oom_reaper mmu_notifier mmu_notifier_debug'

# Commits in linux/ carry this and the patch's own date, so that the same
# patches on the same base always give the same commits.
export GIT_AUTHOR_NAME='OOM reaper series' GIT_AUTHOR_EMAIL='oom-reaper@localhost'
export GIT_COMMITTER_NAME="$GIT_AUTHOR_NAME" GIT_COMMITTER_EMAIL="$GIT_AUTHOR_EMAIL"
base_date='2026-01-01T00:00:00+0000'
# Nothing of the user's git set-up may change what is written.
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
# Settings given to our make are not for the kernel's.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

lgit() { git -C "$linux" "$@"; }

# need_space DIR GIGABYTES
need_space() {
	_free=$(df -Pk "$1" | awk 'NR == 2 { print int($4 / 1048576) }')
	[ "$_free" -ge "$2" ] ||
		die "no disk space: $1 has $_free GB free, this needs $2 GB; make room or run 'make clean'"
}

# The base that the series was last checked against: base/<version> sets
# base_package, base_version and base_release.
read_base() {
	# shellcheck disable=SC1090
	. "$top/base/$series_version"
	base_tarball=/usr/src/$base_package.tar.xz
}

# The base that is installed, or nothing.
installed_base() {
	dpkg-query -W -f='${db:Status-Status} ${Version}\n' "$base_package" 2>/dev/null |
		sed -n 's/^installed //p'
}

# list_patches DIR: the patch files in order, as DIR/series has them.
list_patches() {
	[ -f "$1/series" ] || die "$1/series is missing"
	sed -e 's/[[:space:]]*#.*//' -e '/^$/d' -e "s|^|$1/|" "$1/series"
}

# worktree DIR COMMIT: a tree of linux/'s, to build and not to edit. Only what changed gets a new time stamp.
worktree() {
	# It may be left from a linux/ that was thrown away, or linux/ know of one that was.
	if [ ! -e "$1/.git" ] || ! lgit worktree list --porcelain | grep -qxF "worktree $1"; then
		rm -rf "$1"
		lgit worktree unlock "$1" 2>/dev/null || :
		lgit worktree prune
		lgit worktree add -q --detach "$1" "$2"
	else
		git -C "$1" checkout -q --detach "$2" ||
			die "${1#"$top"/} holds changes; it is made from commits, so edit linux/ instead"
	fi
}

# unheard FRAGMENT DOTCONFIG: the last word of FRAGMENT on each symbol that Kconfig did not take.
unheard() {
	tac "$1" | awk -F= '
		/^CONFIG_/ { name = $1 }
		/^# CONFIG_.* is not set/ { name = $2 = ""; split($0, w, " "); name = w[2] }
		name && !seen[name]++ { print }
		{ name = "" }' | while read -r _line; do
		case $_line in
		'#'*)	_symbol=${_line#\# }
			grep -q "^${_symbol%% *}=" "$2" || continue ;;
		*)	! grep -qxF "$_line" "$2" || continue ;;
		esac
		say "$_line"
	done
}

# What identifies the state of patches/: their names, order and contents.
patches_id() {
	_ids=$(mktemp)
	{
		cat "$patches/series"
		list_patches "$patches" | while read -r _p; do
			cat "$_p" || exit 1
		done
	} >"$_ids" || { rm -f "$_ids"; return 1; }
	sha256sum <"$_ids" | cut -d' ' -f1
	rm -f "$_ids"
}

# format_series REPO RANGE DIR: one form of a patch file, whatever git and
# whoever's configuration.
format_series() {
	git -C "$1" -c core.abbrev=12 -c diff.algorithm=myers -c diff.renames=false \
		-c diff.noprefix=false -c diff.mnemonicPrefix=false -c core.quotePath=true \
		format-patch -q --zero-commit --no-signature -N --no-renames \
		--stat=72 --abbrev=12 -o "$3" "$2"
}

# The last commit before one that touches more than tests.
find_baseline() {
	_baseline=base
	for _c in $(git -C "$1" rev-list --reverse "base..$2"); do
		if git -C "$1" diff-tree --no-commit-id --name-only -r "$_c" |
			grep -qvE '^(tools/testing/|lib/test_[a-z_]*\.[ch]$|lib/Kconfig\.debug$|lib/Makefile$)'; then
			break
		fi
		_baseline=$_c
	done
	git -C "$1" rev-parse "$_baseline^{commit}"
}

# Why linux/ must not be touched, or nothing.
linux_unexported() {
	if [ -d "$(lgit rev-parse --git-path rebase-apply)" ] ||
	   [ -d "$(lgit rev-parse --git-path rebase-merge)" ]; then
		say 'a rebase or git am is under way in linux/'
	elif [ -n "$(lgit status --porcelain | head -n 1)" ]; then
		say 'linux/ holds uncommitted edits'
	elif [ "$(lgit rev-parse HEAD)" != "$(cat "$linux/.git/exported" 2>/dev/null)" ]; then
		say 'linux/ holds commits that are not exported'
	fi
}

# The selftest's scenarios that run in any VM: not those that make the kernel complain,
# and not the one that exhausts the machine's memory.
list_scenarios() {
	"$build/selftest/oom_reaper" -l 2>&1 | awk '
		/^-/ { getline; fixture = $1 }
		(fixture == "stuck" || fixture == "oom") && substr($0, 22, 25) ~ /[a-z]/ {
			variant = substr($0, 22, 25); sub(/ .*/, "", variant)
			if (variant !~ /^(global|bad_)/) print variant
		}'
}

# show_progress NAME FILE...: how many tests their KTAP output has, every 20 s until
# end_progress, or the end of the script that calls them.
show_progress() {
	_parent=$$
	_name=$1
	shift
	while sleep 20 >/dev/null 2>&1 && kill -0 "$_parent" 2>/dev/null; do
		say "  $_name: $(cat "$@" 2>/dev/null | grep -cE '^ *(not )?ok ') tests"
	done &
	progress=$!
}
end_progress() {
	kill "$progress" 2>/dev/null || :
	wait "$progress" 2>/dev/null || :
}

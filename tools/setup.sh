# shellcheck shell=bash
# Makes a machine ready for what the tools here do. Sourced by tools/test,
# tools/check and tools/demo; it leaves the shell at the top of the clone.
set -euo pipefail
case " $* " in *' --help '* | *' -h '*) # the comment that a tool begins with
	sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
	exit 0
	;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/looming

say() { printf '%s\n' "$*" >&2; }
die() { printf '%s\n' "$@" >&2; exit 1; }

# What a package brings, by which it is known to be there, however it came.
brings() {
	case $1 in
	gcc) command -v gcc ;;
	libc6-dev) test -e /usr/include/stdlib.h ;;
	libfuse-dev) test -e /usr/include/fuse/fuse.h ;;
	libfuse3-dev) test -e /usr/include/fuse3/fuse.h ;;
	fuse3) command -v fusermount3 ;;
	postgresql) compgen -G '/usr/lib/postgresql/*/bin/initdb' || command -v initdb ;;
	acl) command -v getfacl ;;
	attr) command -v getfattr ;;
	e2fsprogs) PATH=$PATH:/usr/sbin:/sbin command -v mkfs.ext4 ;;
	btrfs-progs) PATH=$PATH:/usr/sbin:/sbin command -v mkfs.btrfs ;;
	xfsprogs) PATH=$PATH:/usr/sbin:/sbin command -v mkfs.xfs ;;
	util-linux) command -v mount ;;
	*) command -v "$1" ;;
	esac >/dev/null
}

# need PACKAGE... installs what is missing of Debian packages, or says what.
need() {
	local missing=() package as_root=()
	for package in "$@"; do
		brings "$package" || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	[ "$(id -u)" = 0 ] || as_root=(sudo -n)
	if ! command -v apt-get >/dev/null; then
		die "This machine lacks what these Debian packages bring: ${missing[*]}" \
			"It is no Debian, so install their like yourself and call again."
	fi
	if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
		die "This machine lacks: ${missing[*]}" \
			"Only root may install it. As root: apt-get install ${missing[*]}"
	fi
	say "installing ${missing[*]}"
	local log
	log=$(mktemp)
	if ! { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q update &&
		"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
		tail -n 30 "$log" >&2
		die "apt-get could not install: ${missing[*]} (all of what it said is in $log)"
	fi
	rm -f "$log"
	for package in "${missing[@]}"; do
		brings "$package" || die "$package is installed, but what it should bring is not there"
	done
}

need_go() {
	local said
	command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin
	command -v go >/dev/null || die "Go is missing: install the version that go.mod names, or a later one, and put it on PATH"
	said=$(go list -m 2>&1) || die "Go does not accept go.mod:" "$said"
}

need_fuse() {
	need fuse3 libfuse-dev libfuse3-dev
	[ -c /dev/fuse ] || modprobe fuse 2>/dev/null || true
	[ -c /dev/fuse ] || die "There is no /dev/fuse: load the kernel's fuse module (modprobe fuse), or give this container the device"
}

# Where udev runs, everybody may mount; the tests do so as another user.
need_fuse_for_all() {
	[ "$(id -u)" != 0 ] || [ "$(stat -c %a /dev/fuse)" = 666 ] && return
	say "letting all users open /dev/fuse, as udev does"
	chmod 666 /dev/fuse
}

# All that the tests use beside Go.
need_for_tests() {
	need git gcc libc6-dev util-linux postgresql chromium mmdebstrap rsync acl attr e2fsprogs btrfs-progs xfsprogs
	need_fuse
	need_fuse_for_all
}

# The lint programs are built once for their versions and this Go.
lint_programs() {
	local key part
	key=$({ go version; cat tools/lint/go.mod; } | sha256sum | cut -c1-12)
	lint=$cache/lint-$key
	[ -x "$lint/staticcheck" ] && [ -x "$lint/gofumpt" ] && return
	say "building the lint programs (once)"
	mkdir -p "$cache"
	part=$(mktemp -d "$lint.XXXXXX") # others may be at it as well
	go -C tools/lint build -o "$part/" tool || die "The lint programs could not be built: a Go module proxy must be in reach"
	rm -rf "$lint"
	mv -T "$part" "$lint" 2>/dev/null || rm -rf "$part"
}

# run_go PACKAGE ARG... builds a command of the project and becomes it, so that
# its exit code and last words are the caller's.
run_go() {
	local package=$1 program
	shift
	program=$cache/bin/$(basename "$package")
	mkdir -p "$cache/bin"
	go build -o "$program" "$package"
	exec "$program" "$@"
}

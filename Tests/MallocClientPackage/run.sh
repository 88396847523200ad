#!/usr/bin/env bash
# Two programs of a package that depends on this one by a version, and whose malloc must be Mallow's: one imports
# MallowMalloc, the other only names it. Unoptimised and optimised, with the standard library dynamic and static; then
# under the sanitizers, whose malloc it must be. And no call of the Swift runtime may be reachable from malloc.
#
# The version is a tag in a repository of its own, under .build/ of this checkout: of the files as they are now.
set -euo pipefail
cd "$(dirname "$0")"
swift=${SWIFT:-swift}
root=$(cd ../.. && pwd)
repository=$root/.build/malloc-client/mallow.git
log=$(mktemp)
trap 'rm -f "$log"' EXIT

die() { echo "$1" >&2; exit 1; }

# A build says nothing unless it fails.
build() { "$swift" build --disable-index-store "$@" >"$log" 2>&1 || { tail -n 60 "$log" >&2; die "cannot build the client: $*"; }; }

tag_this_checkout() {
    local tree
    git init --quiet --bare "$repository"
    local git=(git --git-dir="$repository" --work-tree="$root" -c user.name=mallow -c user.email=mallow@localhost)
    (cd "$root" && "${git[@]}" add --all -- Package.swift Sources)
    tree=$("${git[@]}" write-tree)
    if [ "$tree" != "$("${git[@]}" rev-parse --quiet --verify 'HEAD^{tree}' || true)" ]; then
        (cd "$root" && "${git[@]}" -c commit.gpgSign=false commit --quiet --message 'The checkout as it is')
        "${git[@]}" tag "1.0.$("${git[@]}" rev-list --count HEAD)"
        rm -rf Package.resolved .build/workspace-state.json .build/*/workspace-state.json
    fi
}

# What the C library exports.
names() { sed -n 's/^ *name \([a-z_0-9A-Z]*\), .*/\1/p' ../../Sources/CMallowMalloc/names.S; }

# Runs both programs of a folder. libc's own allocations are in the report of the one that imports nothing.
run() {
    local allocations
    MALLOW_PURGE_DELAY=70 "$1/importing" >"$log" || die "$1/importing failed"
    grep -qx 'importing: passed' "$log" || die "$1/importing did not come to its end"
    rm -f "$1/report.json"
    MALLOW_BACKGROUND=0 MALLOW_STATS=$1/report.json "$1/quiet" >"$log" || die "$1/quiet failed"
    allocations=$(sed -n 's/.*"allocations":\([0-9]*\),"frees".*/\1/p' "$1/report.json")
    [ "${allocations:-0}" -gt 110000 ] || die "$1/quiet: ${allocations:-no} allocations in the report, of 110,000 or more"
}

check_runtime_calls() {
    local reached count
    # shellcheck disable=SC2046 # the names are words
    reached=$(./runtime-calls.sh "$1/quiet" $(names)) || die "malloc can reach the Swift runtime in $1/quiet: $reached"
    count=${reached%% *}
    [ "$count" -gt 150 ] || die "only $count functions are reached from malloc: $1/quiet was not understood"
    if ./runtime-calls.sh "$1/quiet" quiet_main >/dev/null; then
        die "the program itself reaches no Swift runtime in $1/quiet: it was not understood"
    fi
}

# The runtime's handler of crashes, which it finds beside its library, stops every thread, the one that gives memory back
# too. It says so where it cannot.
check_crash() {
    if { SWIFT_BACKTRACE=enable=yes,interactive=no "$1/importing" crash; } >"$log" 2>&1; then die "$1/importing does not crash"; fi
    grep -q 'Program crashed' "$log" || die "a crash of $1/importing shows no backtrace"
    if grep 'failed to suspend' "$log" >&2; then die "a crash of $1/importing finds a thread that cannot be stopped"; fi
    echo "a crash finds every thread"
}

tag_this_checkout
for configuration in debug release; do
    for way in dynamic static; do
        folder=$("$swift" build -c "$configuration" --show-bin-path)
        # Objects know which Foundation they are for, and the build system does not know that they do.
        rm -rf "$folder/importing.build" "$folder/quiet.build"
        if [ "$way" = static ]; then
            build -c "$configuration" --static-swift-stdlib
        else
            build -c "$configuration"
            check_runtime_calls "$folder"
        fi
        run "$folder"
        if [ "$configuration $way" = "debug dynamic" ]; then check_crash "$folder"; fi
        echo "runs on Mallow, imported and not: $configuration, $way"
    done
done

# A program without any library: libc's malloc must not be in it beside Mallow's.
fully_static=$folder/quiet-static
"${swift}c" -static-executable -o "$fully_static" \
    "$folder"/{quiet,CProbe,CMallowMalloc,CMallowShims,MallocHeap,MallowABI,MallowMalloc,SystemMemory}.build/*.o \
    -lstdc++ -Xlinker --defsym=main=quiet_main >"$log" 2>&1 || { cat "$log" >&2; die "cannot link a static executable"; }
MALLOW_BACKGROUND=0 "$fully_static" >"$log" || die "$fully_static failed"
if nm "$fully_static" | grep -q '_int_malloc$'; then die "glibc's malloc is in $fully_static"; fi
echo "runs on Mallow without any library"

for sanitizer in address thread; do
    options=(--sanitize="$sanitizer" --scratch-path ".build/$sanitizer" --product importing)
    build "${options[@]}"
    program=$("$swift" build "${options[@]}" --show-bin-path)/importing
    ASAN_OPTIONS=detect_leaks=0 "$program" sanitized >"$log" 2>&1 || { cat "$log" >&2; die "fails under the $sanitizer sanitizer"; }
    echo "runs on the $sanitizer sanitizer's malloc"
done
if .build/address/debug/importing use-after-free >"$log" 2>&1 || ! grep -q 'heap-use-after-free' "$log"; then
    die "the address sanitizer no longer finds a use after free"
fi

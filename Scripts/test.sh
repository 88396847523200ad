#!/usr/bin/env bash
# What `make test` runs after the library and the tool are built: formatting and layers, the heap and the allocators
# under the thread sanitizer, and in release under the address sanitizer, the snippets, a client package in debug and
# release, one with the adapters, one that runs on the malloc, the examples, what `make install` leaves, then all tests,
# whose summary comes last. The packages beside the library are built and run beside the sanitizers and the build of all
# tests and snippets: together they keep two cores busy, which one build or one run of tests does not.
set -euo pipefail
cd "$(dirname "$0")/.."
swift=${SWIFT:-swift}

passed() { echo "[$((SECONDS / 60)) min $((SECONDS % 60)) s] $1"; }

make --no-print-directory check

packages() {
    Tests/ClientPackage/run.sh
    Scripts/examples.sh packages
    Tests/AdaptersPackage/run.sh
    Tests/MallocClientPackage/run.sh
}
packages_log=$(mktemp)
(packages) >"$packages_log" 2>&1 &
packages_job=$!
trap 'kill "$packages_job" 2>/dev/null || true; rm -f "$packages_log"' EXIT

Scripts/sanitize.sh
passed "sanitizers"

# What `make install` leaves works: a C++ program that never says malloc, by pkg-config.
prefix=$(mktemp -d)
trap 'kill "$packages_job" 2>/dev/null || true; rm -rf "$prefix" "$packages_log"' EXIT
make --no-print-directory install PREFIX="$prefix" >/dev/null
cat >"$prefix/installed.cpp" <<'EOF'
#include <map>
#include <string>
int main() {
    std::map<int, std::string> numbers;
    for (int i = 0; i < 1000; i++) numbers[i] = std::string(100, 'x');
    return numbers.size() == 1000 ? 0 : 1;
}
EOF
# shellcheck disable=SC2046 # the flags are words
c++ -o "$prefix/installed" "$prefix/installed.cpp" \
    $(PKG_CONFIG_PATH="$prefix/lib/pkgconfig" pkg-config --cflags --libs mallow) -Wl,-rpath,"$prefix/lib"
MALLOW_STATS=1 "$prefix/installed" 2>&1 | grep -q 'allocations *[0-9][0-9][0-9][0-9]' ||
    { echo "an installed libmallow.so is not the malloc of a program linked with it" >&2; exit 1; }
"$prefix/bin/mallow" run --quiet -- true
make --no-print-directory uninstall PREFIX="$prefix" >/dev/null
test ! -e "$prefix/lib/libmallow.so"
echo "installs, links and uninstalls"

"$swift" build --build-tests
passed "all tests and snippets are built"

status=0
wait "$packages_job" || status=$?
if [ "$status" != 0 ]; then
    tail -n 120 "$packages_log" >&2
    echo "the packages beside the library failed: above" >&2
    exit 1
fi
cat "$packages_log"
passed "the client, the adapters and the examples"

Scripts/examples.sh snippets
passed "the snippets"

# The tests look for these where `make` puts them.
export MALLOW_LIBRARY=$PWD/build/lib/libmallow.so MALLOW_TOOL=$PWD/build/bin/mallow
log=$(mktemp)
if ! "$swift" test 2>&1 | tee "$log"; then
    # Hundreds of lines above: once more, last, with what the failing tests said.
    echo "what failed:" >&2
    grep -hE -A 4 'recorded an issue|✘ (Test|Suite) ' "$log" | grep -v '^✔' | cut -c 1-400 | tail -n 60 >&2
    rm -f "$log"
    exit 1
fi
rm -f "$log"

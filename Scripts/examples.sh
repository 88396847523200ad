#!/usr/bin/env bash
# Builds and runs every file under Snippets/ and every package under Examples/, each of which ends with an error if its
# work or its leak check fails. A package with a check.sh of its own is run by that.
set -euo pipefail
cd "$(dirname "$0")/.."
swift=${SWIFT:-swift}

# A build says nothing unless it fails: the compiler's errors are on standard output.
build() {
    local log
    log=$(mktemp)
    if ! "$swift" build "$@" >"$log" 2>&1; then
        grep -E -A 3 'error:' "$log" | head -n 80 >&2 || tail -n 40 "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

build_snippets() {
    local snippet folder
    build
    folder=$("$swift" build --show-bin-path)
    for snippet in Snippets/*.swift; do
        "$folder/$(basename "$snippet" .swift)" >/dev/null || { echo "$snippet failed" >&2; exit 1; }
    done
    echo "snippets: $(ls Snippets | wc -l) built and run"
}

# This one needs dozens of modules of other packages, 4.5 minutes of a processor: `make test` leaves it out.
slow=Examples/HummingbirdServer

build_packages() {
    local package
    for package in "$@"; do
        package=${package%/}
        if [ "$package" = "$slow" ] && [ $# != 1 ]; then continue; fi
        echo "example: $package"
        build -c release --package-path "$package"
        # What is not over by itself, such as a server, says how it is checked.
        if [ -x "$package/check.sh" ]; then
            "$package/check.sh"
        else
            "$swift" run -c release --skip-build --package-path "$package"
        fi
    done
}

# All, or what is named.
case ${1:-all} in
snippets) build_snippets ;;
packages) build_packages Examples/*/ ;;
hummingbird) build_packages "$slow" ;;
all)
    build_snippets
    build_packages Examples/*/
    build_packages "$slow"
    ;;
*)
    echo "usage: $0 [snippets|packages|hummingbird]" >&2
    exit 64
    ;;
esac

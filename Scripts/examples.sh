#!/usr/bin/env bash
# Builds and runs every file under Snippets/ and every package under Examples/, each of which ends with an error if its
# work or its leak check fails. A package with a check.sh of its own is run by that.
set -euo pipefail
cd "$(dirname "$0")/.."
swift=${SWIFT:-swift}

build_snippets() {
    local snippet name
    "$swift" build >/dev/null
    for snippet in Snippets/*.swift; do
        name=$(basename "$snippet" .swift)
        "$("$swift" build --show-bin-path)/$name" >/dev/null || { echo "$snippet failed" >&2; exit 1; }
    done
    echo "snippets: $(ls Snippets | wc -l) built and run"
}

build_packages() {
    local package
    for package in Examples/*/; do
        package=${package%/}
        echo "example: $package"
        "$swift" build -c release --package-path "$package" >/dev/null
        # What is not over by itself, such as a server, says how it is checked.
        if [ -x "$package/check.sh" ]; then
            "$package/check.sh"
        else
            "$swift" run -c release --skip-build --package-path "$package"
        fi
    done
}

# Both, or the one that is named.
case ${1:-all} in
snippets) build_snippets ;;
packages) build_packages ;;
all)
    build_snippets
    build_packages
    ;;
*)
    echo "usage: $0 [snippets|packages]" >&2
    exit 64
    ;;
esac

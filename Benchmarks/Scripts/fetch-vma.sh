#!/usr/bin/env bash
# Gets the header of the Vulkan Memory Allocator, whose virtual blocks range-bench compares with: Debian's package
# libvulkan-memory-allocator-dev (MIT licence), and libvulkan-dev, whose headers it includes. Says nothing when it is
# there.
#
#     Scripts/fetch-vma.sh [SOURCE]…
#
# Nothing is installed: the packages are unpacked in .build/vma of this package, where Package.swift lets the compiler
# look. Where this system's package lists have them not (Debian 12), they come from Debian 13, by apt-get with lists of
# its own and Debian's keys. The SOURCEs are touched afterwards: a build that was made without the header does not know
# that it came.
set -euo pipefail

package=$(cd "$(dirname "$0")/.." && pwd)
wanted=(libvulkan-memory-allocator-dev libvulkan-dev)

if [[ -f $package/.build/vma/usr/include/vk_mem_alloc.h ]]; then exit 0; fi
if echo '#include <vk_mem_alloc.h>' | "${CXX:-clang++}" -std=c++20 -xc++ -fsyntax-only -w - 2>/dev/null; then exit 0; fi
for tool in apt-get dpkg-deb; do
    command -v "$tool" >/dev/null || { echo "No $tool to get ${wanted[0]} with." >&2; exit 1; }
done

mkdir -p "$package/.build"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
options=(-q -o Acquire::Languages=none -o APT::Sandbox::User="$(id -un)")
if ! apt-cache show "${wanted[0]}" >/dev/null 2>&1; then
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    if [[ ! -f $keys ]]; then echo "This system has no package ${wanted[0]}." >&2; exit 1; fi
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    echo "deb [signed-by=$keys] http://deb.debian.org/debian trixie main" >"$work/trixie.list"
    options+=(
        -o Dir::Etc::SourceList="$work/trixie.list" -o Dir::Etc::SourceParts=/dev/null
        -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache"
    )
    apt-get "${options[@]}" update
fi
echo "Unpacking for the benchmarks of range allocators, in $package/.build/vma: ${wanted[*]}"
(cd "$work" && apt-get "${options[@]}" download "${wanted[@]}")
for archive in "$work"/*.deb; do dpkg-deb -x "$archive" "$work/unpacked"; done
mkdir -p "$package/.build/vma/usr"
rm -rf "$package/.build/vma/usr/include"
mv "$work/unpacked/usr/include" "$package/.build/vma/usr/include"
if [[ $# -gt 0 ]]; then touch "$@"; fi

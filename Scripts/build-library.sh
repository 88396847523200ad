#!/usr/bin/env bash
# Builds the C library: OUTPUT/lib/libmallow.so, OUTPUT/lib/libmallow.a, OUTPUT/include/mallow.h and the pkg-config
# file.
#
# usage: Scripts/build-library.sh [OUTPUT]      OUTPUT is build/ unless given
#
# The Swift package compiles the objects; this script links them, because SwiftPM can say neither which symbols a
# library exports nor that malloc is another name of mallow_malloc. Everything but the names of exports.txt becomes
# local: an Embedded Swift object has weak swift_* symbols that would otherwise replace those of a Swift program's own
# runtime.
set -euo pipefail
cd "$(dirname "$0")/.."
swift=${SWIFT:-swift}

output=${1:-build}
scratch=.build/library
exports=Sources/MallowABI/exports.txt
version=0.1.0

toolchain=$(dirname "$(readlink -f "$(command -v "$swift")")")
tool() { # the toolchain's own, or the system's
    if [ -x "$toolchain/$1" ]; then echo "$toolchain/$1"; else command -v "$1"; fi
}
clang=$(tool clang) lld=$(tool ld.lld) objcopy=$(tool llvm-objcopy) ar=$(tool llvm-ar)

# A library of an odd build would be slower: the same flags always, whatever the package is built with.
"$swift" build -c release --omit-frame-pointers --scratch-path "$scratch" --target MallowABIEmbedded

objects=$("$swift" build -c release --scratch-path "$scratch" --show-bin-path)
abi=$objects/MallowABIEmbedded.build/MallowABIEmbedded.o
storage=$objects/CMallowShims.build/storage.c.o

mkdir -p "$output/lib/pkgconfig" "$output/include" "$scratch/link"
map=$scratch/link/exports.map
keep=$scratch/link/keep.txt
aliases=()
names=()
while read -r name target _; do
    case "$name" in '' | '#'*) continue ;; esac
    names+=("$name")
    if [ -n "${target:-}" ]; then aliases+=("--defsym=$name=$target"); fi
done <"$exports"
{
    echo "{"
    echo "  global:"
    printf '    %s;\n' "${names[@]}"
    echo "  local: *;"
    echo "};"
} >"$map"
printf '%s\n' "${names[@]}" >"$keep"

"$clang" -shared -fuse-ld="$lld" -o "$output/lib/libmallow.so.0" "$abi" "$storage" \
    -Wl,-soname,libmallow.so.0 -Wl,--version-script="$map" -Wl,--gc-sections -Wl,-z,relro -Wl,-z,now -Wl,-z,nodelete \
    -Wl,--no-undefined -Wl,--strip-debug "${aliases[@]/#/-Wl,}"
ln -sf libmallow.so.0 "$output/lib/libmallow.so"

# The archive: one object, in which all but the exported names are local.
"$lld" -r -o "$scratch/link/mallow.o" "$abi" "$storage" "${aliases[@]}"
"$objcopy" --strip-debug --keep-global-symbols="$keep" "$scratch/link/mallow.o"
rm -f "$output/lib/libmallow.a"
"$ar" rcs "$output/lib/libmallow.a" "$scratch/link/mallow.o"

cp Sources/MallowABI/mallow.h "$output/include/mallow.h"
cat >"$output/lib/pkgconfig/mallow.pc" <<EOF
prefix=\${pcfiledir}/../..
libdir=\${prefix}/lib
includedir=\${prefix}/include

Name: mallow
Description: A malloc that gives memory back
Version: $version
# Needed even by a program whose own objects never say malloc, as those of most C++ programs.
Libs: -L\${libdir} -Wl,--push-state,--no-as-needed -lmallow -Wl,--pop-state
Libs.private: -Wl,-u,malloc -lpthread
Cflags: -I\${includedir}
EOF
echo "built $output/lib/libmallow.so and libmallow.a"

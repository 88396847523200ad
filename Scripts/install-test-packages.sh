#!/usr/bin/env bash
# Installs what the tests need of the system, and is missing: real programs to run on the malloc, and the tools that
# build and look at test programs. Says nothing when all is there. Where apt-get is not, it says what to install.
#
#     Scripts/install-test-packages.sh
#
# swiftc and clang come with the Swift toolchain, which nobody installs from here. Node is tested where it is.
set -eu

# A command that the tests start, and the Debian package that it comes from.
needed="
    ar:binutils         nm:binutils         readelf:binutils    objdump:binutils    pkg-config:pkgconf
    gcc:gcc             cc:gcc              musl-gcc:musl-tools
    g++:g++             c++:g++             make:make           git:git             gdb:gdb
    perl:perl           python3:python3     sqlite3:sqlite3     bash:bash           awk:mawk
    sort:coreutils      find:findutils      diff:diffutils      tar:tar             gzip:gzip
    redis-server:redis-server               redis-cli:redis-tools                   redis-benchmark:redis-tools
"

missing=()
for entry in $needed; do
    command -v "${entry%%:*}" >/dev/null || missing+=("${entry#*:}")
done
# The examples compile against these.
for entry in zlib.h:zlib1g-dev sqlite3.h:libsqlite3-dev; do
    [[ -e /usr/include/${entry%%:*} ]] || missing+=("${entry#*:}")
done
# Static programs are linked too.
if command -v gcc >/dev/null && [[ ! -f $(gcc -print-file-name=libc.a) ]]; then missing+=(libc6-dev); fi

"$(dirname "$0")/install-packages.sh" "the tests" "${missing[@]}"

#!/usr/bin/env bash
# Installs what the stream server is tested and measured with, and is missing: ffmpeg (with ffprobe), curl and python3,
# from Debian. Says nothing when all is there. Where apt-get is not, it says what to install.
#
#     Examples/StreamServer/Scripts/install-stream-packages.sh
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)

# A command that the tests start, and the Debian package that it comes from.
needed="ffmpeg:ffmpeg ffprobe:ffmpeg curl:curl python3:python3"
missing=()
for entry in $needed; do
    command -v "${entry%%:*}" >/dev/null || missing+=("${entry#*:}")
done

"$here/../../Scripts/install-packages.sh" "the stream server's tests" "${missing[@]}"

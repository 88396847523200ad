#!/usr/bin/env bash
# Makes a transport stream with ffmpeg: H.264 and AAC of a test picture and a tone, with a keyframe each second.
#
#     Examples/StreamServer/Scripts/make-stream.sh FILE [SECONDS [SIZE]]
set -eu

# One thread: the same stream on every machine with this ffmpeg.
ffmpeg -v error -y \
    -f lavfi -i "testsrc=size=${3:-320x240}:rate=25" -f lavfi -i "sine=frequency=440:sample_rate=44100" -t "${2:-8}" \
    -c:v libx264 -preset ultrafast -threads 1 -g 25 -c:a aac -b:a 64k -f mpegts "$1" </dev/null

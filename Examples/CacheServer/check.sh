#!/usr/bin/env bash
# What `make examples` runs for this example, which is not over by itself: real clients, and the torture.
exec "$(dirname "$0")/Scripts/test-clients.sh"

#!/usr/bin/env python3
"""The server under wrk on each malloc in turn: requests a second, latency, resident memory over time.

    Load/measure.py SERVER --mallow libmallow.so [--rounds 5] [--seconds 5] [--quick] [--json FILE] [--csv FILE]"""

import argparse
import csv
import json
import os
import sys

import mallocs
from load import IDLE_SECONDS, PHASES, measure
from report import report


def parsed():
    parser = argparse.ArgumentParser(description="Measures the server under wrk on each malloc in turn.")
    parser.add_argument("server")
    parser.add_argument("--mallow", required=True, help="libmallow.so")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, in each of which all mallocs have their turn")
    parser.add_argument("--seconds", type=int, default=5, help="seconds of a phase")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="event loops of the server")
    parser.add_argument("--quick", action="store_true", help="one round with phases of 2 s: a look, nothing more")
    parser.add_argument("--pin", action="store_true", help="the server on the first processor, wrk on the others")
    parser.add_argument("--only", help="names of mallocs, with commas between")
    parser.add_argument("--allocator", action="append", default=[], metavar="NAME=PATH", help="another malloc")
    parser.add_argument(
        "--setting", action="append", default=[], metavar="NAME:VAR=VALUE,…",
        help="Mallow once more, with these variables in the environment")
    parser.add_argument(
        "--linked", action="append", default=[], metavar="NAME=PROGRAM", help="a server that is linked with Mallow")
    parser.add_argument("--json", help="a file for all figures and samples")
    parser.add_argument("--csv", help="a file for resident memory over time")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 2
    if options.rounds < 1 or options.seconds < 1 or options.threads < 1:
        parser.error("--rounds, --seconds and --threads are at least 1")
    return options


def write_json(path, options, tested, rounds):
    contents = {
        "rounds": options.rounds, "seconds": options.seconds, "threads": options.threads, "pinned": options.pin,
        "processors": os.cpu_count(), "kernel": os.uname().release,
        "mallocs": [
            {"name": one.name, "library": one.library, "version": one.version, "environment": one.environment}
            for one in tested],
        "results": rounds,
    }
    with open(path, "w") as file:
        json.dump(contents, file, indent=1)


def write_csv(path, rounds):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["round", "malloc", "seconds", "phase", "rss bytes", "pss bytes"])
        for number, one in enumerate(rounds, 1):
            for name, run in one.items():
                for sample in run["samples"]:
                    writer.writerow(
                        [number, name, sample["seconds"], sample["phase"], sample["rss"], sample["pss"]])


def main():
    options = parsed()
    tested = mallocs.find(options.mallow, options.allocator, options.setting, options.linked, options.only)
    if already := mallocs.settings_in_environment():
        raise SystemExit(f"set in the environment, and so for all mallocs: {' '.join(already)}")
    versions = ", ".join(f"{one.name} {one.version}".strip() for one in tested if not one.ours)
    print(f"{versions}; load of the machine before: {os.getloadavg()[0]:.1f}")
    print(
        f"{options.rounds} rounds of phases of {options.seconds} s, and {IDLE_SECONDS} s idle; {options.threads} event"
        f" loops; {os.cpu_count()} processors for the server and wrk, "
        + ("each on its own" if options.pin else "which share them") + "; medians over rounds")
    rounds = []
    for number in range(options.rounds):
        # Another one first in each round.
        first = number % len(tested)
        one = {}
        for malloc in tested[first:] + tested[:first]:
            one[malloc.name] = measure(malloc, [options.server], options)
            print(f"round {number + 1} of {options.rounds}: {malloc.name}", file=sys.stderr, flush=True)
        rounds.append(one)
    report(tested, rounds, [phase[0] for phase in PHASES])
    if options.json:
        write_json(options.json, options, tested, rounds)
    if options.csv:
        write_csv(options.csv, rounds)


if __name__ == "__main__":
    main()

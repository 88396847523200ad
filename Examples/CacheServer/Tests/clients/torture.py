#!/usr/bin/env python3
"""Tortures a cache server, and says whether it held: random, truncated and hostile input on many connections at once,
clients that vanish in the middle of a command or of an answer, and among them clients that behave and check every value
they get.

    torture.py [--seconds 20] [--seed 1] [--connections 150] [--no-leak-check] SERVER COMMAND…

The command is started with `-l 127.0.0.1 -p PORT -m 64` behind it. Afterwards the server must answer a new client, have
closed what clients left, have stayed within its memory, and on SIGTERM, with clients still connected, end with status 0
and say on standard error that its arena has no leaks. The seed fixes what each client does; how they interleave is the
scheduler's.
"""

import argparse
import asyncio
import collections
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

from hostile import BIG_VALUES, Hostile
from wellbehaved import WellBehaved
from wire import Broken, Wire, free_ports

LEAK_LINE = "arena: no leaks"
MEMORY_LIMIT = 64  # MiB, the server's -m: all items, also those that are gone and still being sent, and their index
# MiB for each connection: what a client that asks and does not read may have waiting (the server's README). Never all
# of them are such at a time; what a long line takes, and all else that comes with a connection, is in the others'
# share.
CONNECTION_LIMIT = 0.25
LOG_SHOWN = 12_000  # of what a server that fell said, from its beginning: the message and the thread that crashed
PATIENCE = 15.0  # seconds for anything that must happen


class Failure(Exception):
    pass


def resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * 1024


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


async def until(condition, what):
    """Waits until an asynchronous condition holds."""
    deadline = time.monotonic() + PATIENCE
    while True:
        value = await condition()
        if value is True:
            return
        if time.monotonic() > deadline:
            raise Failure(f"{what}: still {value} after {PATIENCE:.0f} seconds")
        await asyncio.sleep(0.1)


async def start(command, port, log):
    server = subprocess.Popen(
        [*command, "-l", "127.0.0.1", "-p", str(port), "-m", str(MEMORY_LIMIT)],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"SWIFT_BACKTRACE": "threads=crashed", **os.environ})

    async def answers():
        if server.poll() is not None:
            raise Failure(f"the server ended at once, with status {server.returncode}")
        try:
            async with Wire(port) as wire:
                return (await wire.ask(b"version\r\n")).startswith(b"VERSION")
        except OSError as error:
            return str(error)

    await until(answers, "the server starts")
    return server


async def statistics(port):
    async with Wire(port) as wire:
        await wire.send(b"stats\r\n")
        result = {}
        while (line := await wire.line()) != b"END\r\n":
            _, name, value = line.split(b" ", 2)
            result[name.decode()] = value.strip().decode()
        return result


async def watch(server, peak):
    """The server's memory, a few times a second, and that it lives."""
    while True:
        if server.poll() is not None:
            raise Failure(f"the server ended under torture, with status {server.returncode}")
        peak["resident"] = max(peak["resident"], resident_bytes(server.pid))
        await asyncio.sleep(0.1)


async def hostilities(port, number, seed, until_time, done):
    """One hostile client after another, each on a connection of its own."""
    choice = random.Random(f"{seed}-hostile-{number}")
    while time.monotonic() < until_time:
        name = choice.choice(Hostile.names())
        done[name] += 1
        try:
            async with Wire(port, patience=PATIENCE) as wire:
                await Hostile(wire, choice, until_time).run(name)
        except (ConnectionError, BrokenPipeError):
            done["closed by the server"] += 1  # its right, when it is sent rubbish


async def rest_of_the_day(port):
    """The connections that are open when the server is told to stop: idle, in mid-command, in mid-answer."""
    wires = [await Wire(port).open() for _ in range(9)]
    for wire in wires[3:6]:
        await wire.send(b"set unfinished 0 0 1000\r\nabc")
    for wire in wires[6:]:
        await wire.send(b"get big0 big1 big2 big3\r\n" * 4)
    await asyncio.sleep(0.2)
    return wires


def stopped(server, leak_check, log):
    """SIGTERM, the exit status and the leak check."""
    server.send_signal(signal.SIGTERM)
    try:
        status = server.wait(timeout=PATIENCE)
    except subprocess.TimeoutExpired as error:
        server.kill()
        raise Failure(f"the server did not stop within {PATIENCE:.0f} seconds of SIGTERM") from error
    if status != 0:
        raise Failure(f"the server ended with status {status} on SIGTERM")
    if leak_check:
        log.seek(0)
        if LEAK_LINE not in log.read().decode(errors="replace"):
            raise Failure(f"the server did not say '{LEAK_LINE}' when it stopped")


async def torture(options, server, port, peak):
    base = await statistics(port)
    base_descriptors = descriptors(server.pid)
    limit = peak["resident"] + int((MEMORY_LIMIT + CONNECTION_LIMIT * options.connections) * 2**20)
    print(f"seed {options.seed}, {options.connections} hostile connections, {options.seconds:g} seconds; "
          f"the server has {peak['resident'] >> 20} MiB resident")

    async with Wire(port) as wire:
        for key, value in BIG_VALUES.items():
            if await wire.store(key, value) != b"STORED\r\n":
                raise Failure(f"a value of {len(value)} bytes was not stored")

    end = time.monotonic() + options.seconds
    done = collections.Counter()
    good = [WellBehaved(port, f"{options.seed}-good-{n}", f"good{n}-", PATIENCE) for n in range(8)]
    watching = asyncio.create_task(watch(server, peak))
    tasks = [asyncio.create_task(client.run(end)) for client in good]
    tasks += [asyncio.create_task(hostilities(port, n, options.seed, end, done)) for n in range(options.connections)]
    work = asyncio.gather(*tasks)
    try:
        await asyncio.wait([watching, work], return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            watching.result()
        await work
    finally:
        for task in [watching, *tasks]:
            task.cancel()
        await asyncio.gather(watching, work, *tasks, return_exceptions=True)

    print("hostile: " + ", ".join(f"{name} {count}" for name, count in sorted(done.items())))
    print(f"well-behaved: {sum(c.requests for c in good)} requests, {sum(c.hits for c in good)} values checked, "
          f"{sum(c.misses for c in good)} misses, slowest answer {max(c.slowest for c in good):.2f} s")
    if sum(c.requests for c in good) < 20 * options.seconds or sum(c.hits for c in good) < 5 * options.seconds:
        raise Failure("the well-behaved clients hardly got an answer")

    async with Wire(port) as wire:
        await wire.store(b"after", b"all")
        if await wire.value(b"after") != b"all":
            raise Failure("a new client does not get what it has just stored")

    async def connections():
        open_now = int((await statistics(port))["curr_connections"])
        return open_now <= int(base["curr_connections"]) + 2 or f"{open_now} connections"

    await until(connections, "the connections that clients left are closed")

    async def open_files():
        count = descriptors(server.pid)
        return count <= base_descriptors + 4 or f"{count} descriptors, {base_descriptors} before"

    await until(open_files, "the descriptors are closed")

    print(f"resident: {peak['resident'] >> 20} MiB at most, {resident_bytes(server.pid) >> 20} MiB after; "
          f"limit {limit >> 20} MiB")
    if peak["resident"] > limit:
        raise Failure(f"the server had {peak['resident'] >> 20} MiB resident, for {MEMORY_LIMIT} MiB of items")


async def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].strip())
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--connections", type=int, default=150)
    parser.add_argument("--no-leak-check", action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()

    port = free_ports(1)[0]
    server = None
    with tempfile.TemporaryFile() as log:
        try:
            server = await start(options.command, port, log)
            peak = {"resident": resident_bytes(server.pid)}
            await torture(options, server, port, peak)
            wires = await rest_of_the_day(port)
            stopped(server, not options.no_leak_check, log)
            for wire in wires:
                wire.close()
            print("torture: passed")
            return 0
        except (Failure, Broken, OSError) as failure:
            await asyncio.sleep(0.2)
            ended = server.poll() if server is not None else None
            log.seek(0)
            print(f"torture: FAILED: {failure}" + (f"; the server ended with status {ended}" if ended else ""),
                  file=sys.stderr)
            print(log.read().decode(errors="replace")[:LOG_SHOWN], file=sys.stderr, end="")
            return 1
        finally:
            if server is not None and server.poll() is None:
                server.kill()
                server.wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

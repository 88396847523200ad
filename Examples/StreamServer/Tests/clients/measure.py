#!/usr/bin/env python3
"""The same server on each kind of buffers, in turn: the server's CPU seconds, its peak resident memory, and the time.

    Tests/clients/measure.py STREAM.ts SERVER [--rounds 5] [--subscribers 8] [--megabytes 400] [--quick]

Workloads:
    full speed   a stream as fast as it goes, the publisher waiting for the slowest: large reads and writes
    small reads  the same in pieces of seven packets, each sent when the one before has arrived: a live stream
    stalled      small reads, one subscriber that reads and others that don't, whose queues fill up: memory

Clients drop what they receive in the kernel (MSG_TRUNC): what arrives is checked elsewhere (scenarios.py)."""

import argparse
import os
import socket
import statistics
import threading
import time

from wire import Server

KINDS = ["mallow", "array", "bytebuffer", "copies"]
PIECE = 7 * 188


def drain(connection, total, progress=None):
    """Reads so many bytes, and drops them."""
    room = bytearray(1 << 20)
    count = 0
    while count < total:
        size = connection.recv_into(room, len(room), socket.MSG_TRUNC)
        if size == 0:
            raise AssertionError(f"the stream ended after {count} of {total} bytes")
        count += size
        if progress:
            progress(count)


def full_speed(server, stream, subscribers, megabytes):
    total = max(1, (megabytes << 20) // len(stream)) * len(stream)
    connections = [server.subscribe("test") for _ in range(subscribers)]
    threads = [threading.Thread(target=drain, args=[connection, total]) for connection in connections]
    publisher = server.publish("test")
    for thread in threads:
        thread.start()
    for _ in range(total // len(stream)):
        publisher.sendall(stream)
    for thread in threads:
        thread.join()
    return connections, publisher


def in_step(server, stream, connections, publisher, megabytes):
    """Sends pieces, each when these connections have the one before."""
    room = bytearray(1 << 20)
    left = megabytes << 20
    while left > 0:
        for start in range(0, len(stream) - PIECE, PIECE):
            publisher.sendall(memoryview(stream)[start : start + PIECE])
            for connection in connections:
                count = 0
                while count < PIECE:
                    count += connection.recv_into(room, PIECE - count, socket.MSG_TRUNC)
            left -= PIECE
            if left <= 0:
                return


def small_reads(server, stream, subscribers, megabytes):
    connections = [server.subscribe("test") for _ in range(subscribers)]
    publisher = server.publish("test")
    in_step(server, stream, connections, publisher, max(1, megabytes // 20))
    return connections, publisher


def stalled(server, stream, subscribers, megabytes):
    reading = server.subscribe("test")
    connections = [server.subscribe("test", receive_buffer=16 << 10) for _ in range(subscribers - 1)]
    publisher = server.publish("test")
    in_step(server, stream, [reading], publisher, max(16, megabytes // 10))
    return [reading, *connections], publisher


WORKLOADS = {
    "full speed": (full_speed, ["--slow", "wait", "--buffer-limit", "4m"]),
    "small reads": (small_reads, ["--slow", "wait", "--buffer-limit", "4m"]),
    "stalled": (stalled, ["--slow", "skip", "--buffer-limit", "8m"]),
}


def measure(command, kind, workload, stream, options):
    run, server_options = WORKLOADS[workload]
    server = Server(command, "--buffers", kind, *server_options)
    try:
        resident = server.resident()
        cpu = server.cpu_seconds()
        start = time.perf_counter()
        connections, publisher = run(server, stream, options.subscribers, options.megabytes)
        seconds = time.perf_counter() - start
        found = {
            "CPU s": server.cpu_seconds() - cpu,
            "wall s": seconds,
            "peak MiB": server.peak_resident() / (1 << 20),
            "peak MiB above the start": (server.peak_resident() - resident) / (1 << 20),
        }
        publisher.close()
        for connection in connections:
            connection.close()
        server.stop(says="allocator: no leaks" if kind == "mallow" else "")
        return found
    except BaseException:
        server.process.kill()
        server.process.wait()
        raise


def shown(values):
    return f"{statistics.median(values):8.3f} ({min(values):.3f}-{max(values):.3f})"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("stream")
    parser.add_argument("server")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--subscribers", type=int, default=8)
    parser.add_argument("--megabytes", type=int, default=400)
    parser.add_argument("--quick", action="store_true", help="one round of a tenth: too little to conclude from")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.megabytes = 1, options.megabytes // 10
    with open(options.stream, "rb") as file:
        stream = file.read()

    print(
        f"stream of {len(stream)} bytes, published over and over; {options.subscribers} subscribers;"
        f" full speed: {options.megabytes} MiB, small reads: {max(1, options.megabytes // 20)} MiB,"
        f" stalled: {max(16, options.megabytes // 10)} MiB; {options.rounds} rounds; {os.cpu_count()} processors for"
        " the server and its clients")
    print("medians, and the least and the most of all rounds; ratios are medians of the rounds' ratios, Mallow to the"
          " other\n")
    columns = [f"{kind:>24}" for kind in KINDS] + [f"{'/' + kind:>24}" for kind in KINDS[1:]]
    print(f"{'workload':12} {'':24}", *columns)
    for workload in WORKLOADS:
        rounds = []
        for number in range(options.rounds):
            # Each goes first in turn.
            order = KINDS[number % len(KINDS) :] + KINDS[: number % len(KINDS)]
            rounds.append({kind: measure([options.server], kind, workload, stream, options) for kind in order})
        for metric in rounds[0][KINDS[0]]:
            values = [[one[kind][metric] for one in rounds] for kind in KINDS]
            ratios = [[ours / max(other, 1e-9) for ours, other in zip(values[0], theirs)] for theirs in values[1:]]
            print(f"{workload:12} {metric:24}", *(f"{shown(cell):>24}" for cell in values + ratios), flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The stream server under real clients and bad ones: every byte that a subscriber gets is compared with what was
published.

    Tests/clients/scenarios.py STREAM.ts SERVER [OPTION…]

Each scenario has a server of its own, which must stop in good order and find no leak. Nothing depends on time: where
one thing must come after another, the server's statistics, or the other side's bytes, say when."""

import os
import subprocess
import sys
import tempfile
import threading

from hostile import malformed, stalled, timed_out, vanishing
from transport import PACKET, Stream
from wire import MEGABYTE, Reader, Server, expect, send_in_pieces


def exact(command, source):
    """Subscribers who are there first get every byte."""
    with Server(command) as server:
        readers = [Reader(server.subscribe("test/one")) for _ in range(6)]
        # Streams have nothing to do with each other.
        other = Reader(server.subscribe("other"))
        publisher = server.publish("test/one")
        send_in_pieces(publisher, source.data)
        publisher.close()
        for reader in readers:
            expect(reader.all(), source.data, "the stream")
        publisher = server.publish("other")
        publisher.sendall(source.data[: 300 * PACKET])
        publisher.close()
        expect(other.all(), source.data[: 300 * PACKET], "the other stream")
        server.wait_for(streams=0, connections=0, live_bytes=0)
    return f"{len(readers)} subscribers, {len(source.data)} bytes each"


def late(command, source):
    """Who comes late starts with the tables and a keyframe: the last one that is kept, or the next."""
    offsets = (PACKET, PACKET + 100, 20 * PACKET + 1)
    places = [point + offset for point in source.access_points[:5] for offset in offsets]
    for options, wanted in (([], source.from_group_before), (["--group-limit", "0"], source.from_group_after)):
        with Server(command, *options) as server:
            publisher = server.publish("test")
            readers = []
            sent = 0
            for place in places:
                publisher.sendall(source.data[sent:place])
                sent = place
                server.wait_for(received_bytes=place)
                readers.append((place, Reader(server.subscribe("test"))))
                server.wait_for(subscribers=len(readers))
            publisher.sendall(source.data[sent:])
            publisher.close()
            for place, reader in readers:
                expect(reader.all(), wanted(place), f"the stream from {place} on")
            server.wait_for(streams=0, live_bytes=0)
    return f"{2 * len(places)} subscribers, from {len(set(map(wanted, places)))} keyframes"


def probe(path):
    """What ffprobe finds in a file or at a URL."""
    result = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width,height,sample_rate", "-of", "csv=p=0",
         path],
        capture_output=True, text=True, timeout=60, check=False)
    if result.returncode != 0 or result.stderr.strip():
        raise AssertionError(f"ffprobe {path}: status {result.returncode}: {result.stderr}")
    # Streams of a program are listed with it, and by themselves.
    return sorted({line.strip() for line in result.stdout.splitlines() if line.strip()})


def real_clients(command, source):
    """ffmpeg publishes in the three ways that it can; ffprobe and curl read."""
    with tempfile.TemporaryDirectory() as work, Server(command) as server:
        path = os.path.join(work, "source.ts")
        with open(path, "wb") as file:
            file.write(source.data)
        wanted = probe(path)
        if len(wanted) != 2:
            raise AssertionError(f"ffprobe finds {wanted}")
        # What ffmpeg makes of it is the same for every output.
        copied = os.path.join(work, "copied.ts")
        remux = ["ffmpeg", "-v", "error", "-y", "-i", path, "-c", "copy", "-f", "mpegts"]
        subprocess.run([*remux, copied], check=True, timeout=60, stdin=subprocess.DEVNULL)
        with open(copied, "rb") as file:
            remuxed = file.read()
        address = f"127.0.0.1:{server.port}"
        ways = [
            ("post", [f"http://{address}/post"]),
            ("put", ["-method", "PUT", "-chunked_post", "0", f"http://{address}/put"]),
            ("live", [f"tcp://{address}"]),
        ]
        for name, output in ways:
            reader = Reader(server.subscribe(name))
            subprocess.run([*remux, *output], check=True, timeout=60, stdin=subprocess.DEVNULL)
            data = reader.all()
            expect(data, remuxed, f"the stream that ffmpeg publishes as {name}")
            received = os.path.join(work, f"{name}.ts")
            with open(received, "wb") as file:
                file.write(data)
            expect(probe(received), wanted, "what ffprobe finds in the file")

        # A player over HTTP, which joins a stream on its way and leaves when it has seen enough; and one that stays.
        stop = threading.Event()
        received = server.wait_for(connections=0)["received_bytes"]
        publisher = server.publish("movie")
        publisher.sendall(source.data)
        repeats = [1]

        def go_on():
            while not stop.is_set():
                publisher.sendall(source.data)
                repeats[0] += 1

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            expect(probe(f"http://{address}/movie"), wanted, "what ffprobe finds at the URL")
        finally:
            stop.set()
            thread.join()
        # What is still on its way to the server would be sent to curl.
        server.wait_for(subscribers=0, received_bytes=received + repeats[0] * len(source.data))
        curl = subprocess.Popen(["curl", "-sS", "-N", f"http://{address}/movie"], stdout=subprocess.PIPE)
        server.wait_for(subscribers=1)
        publisher.close()
        data = curl.communicate(timeout=60)[0]
        expect(curl.returncode, 0, "curl's status")
        expect(data, source.from_group_before(len(source.data)), "what curl gets")
        head = server.ask(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        expect(head.split(b"\r\n")[0], b"HTTP/1.1 404 Not Found")
        page = server.ask(b"GET / HTTP/1.0\r\n\r\n")
        if b"\r\n\r\nstreams 0\n" not in page:
            raise AssertionError(f"the page of statistics: {page[:200]!r}")
        server.wait_for(connections=0, live_bytes=0)
    return "ffmpeg over POST, PUT and TCP; ffprobe of files and a URL; curl"


def long_stream(command, source, megabytes=300):
    """A long stream takes no more memory than a short one, and every byte of it arrives."""
    with Server(command, "--slow", "wait", "--buffer-limit", "512k", "--group-limit", "256k") as server:
        subscribers = [server.subscribe("test") for _ in range(3)]
        repeats = (megabytes << 20) // len(source.data)
        # Each subscriber compares as it reads, and keeps nothing.
        twice = memoryview(source.data + source.data)
        counts = [0] * len(subscribers)
        wrong = []

        def follow(index):
            buffer = bytearray(len(source.data))
            while count := subscribers[index].recv_into(buffer):
                place = counts[index] % len(source.data)
                if memoryview(buffer)[:count] != twice[place : place + count]:
                    wrong.append(f"subscriber {index}: other bytes after {counts[index]}")
                    break
                counts[index] += count
            subscribers[index].close()

        threads = [threading.Thread(target=follow, args=[index], daemon=True) for index in range(len(subscribers))]
        for thread in threads:
            thread.start()
        publisher = server.publish("test")
        samples = []
        for repeat in range(repeats):
            publisher.sendall(source.data)
            if repeat % (repeats // 40) == 0:
                seen = server.statistics()
                samples.append((server.resident(), seen["live_bytes"], seen["held_bytes"]))
        publisher.close()
        for thread in threads:
            thread.join(60)
        if wrong or counts != [repeats * len(source.data)] * len(counts):
            raise AssertionError(f"{wrong}; received {counts} of {repeats * len(source.data)}")
        # A tenth of it, and all is there that will be.
        first, rest = samples[: len(samples) // 10], samples[len(samples) // 10 :]
        growth = max(sample[0] for sample in rest) - max(sample[0] for sample in first)
        live = max(sample[1] for sample in samples)
        held = max(sample[2] for sample in samples)
        if growth > 4 * MEGABYTE or live > 2 * MEGABYTE or held > 8 * MEGABYTE:
            raise AssertionError(f"grown by {growth}; {live} bytes live, {held} held: {samples}")
        server.wait_for(streams=0, connections=0, live_bytes=0)
        resident = server.resident()
    return (
        f"{counts[0] >> 20} MiB to each of {len(counts)}; at most {live >> 10} KiB live and {held >> 10} KiB held,"
        f" {resident >> 20} MiB resident, {growth >> 10} KiB more than at the start")


def stopping(command, source):
    """The server stops in good order whatever goes on, and subscribers get what is waiting for them."""
    server = Server(command)
    reader = Reader(server.subscribe("test"))
    waiting = server.subscribe("nothing")
    stalling = server.subscribe("test", receive_buffer=16 << 10)
    halfway = server.connect(b"PUBL")
    publisher = server.publish("test")
    publisher.sendall(source.data[:-50])
    reader.wait_for(len(source.data) - PACKET)
    server.stop()
    expect(reader.all(), source.data[:-PACKET], "what the subscriber gets")
    for connection in (waiting, stalling, halfway, publisher):
        connection.close()

    for options, message in (
        (["--port", "70000"], "--port 70000"),
        (["--buffer-limit", "1"], "--buffer-limit 1:"),
        (["--slow", "sometimes"], "sometimes"),
        (["--nonsense"], "nonsense"),
    ):
        result = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60, check=False)
        if result.returncode != 1 or message not in result.stderr or result.stderr.count("\n") != 1:
            raise AssertionError(f"{options}: status {result.returncode}: {result.stderr!r}")
    return "with clients in every state; wrong options are one line"


def main():
    with open(sys.argv[1], "rb") as file:
        source = Stream(file.read())
    command = sys.argv[2:]
    if len(source.access_points) < 6:
        raise AssertionError(f"a stream with {len(source.access_points)} keyframes")
    for scenario in (
        exact, late, real_clients, stalled, timed_out, vanishing, malformed, long_stream, stopping,
    ):
        try:
            found = scenario(command, source)
        except Exception:
            print(f"{scenario.__name__}: failed", file=sys.stderr)
            raise
        print(f"{scenario.__name__.replace('_', ' ')}: {found}", flush=True)


if __name__ == "__main__":
    main()

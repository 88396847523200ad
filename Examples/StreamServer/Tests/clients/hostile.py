"""Scenarios with clients that stall, vanish, or send what is no stream: parts of scenarios.py."""

from transport import PACKET, runs, surviving
from wire import (
    MEGABYTE, Reader, Server, expect, random_numbers, read_all, read_line, send_in_pieces, vanish,
)


def lockstep(server, publisher, source, readers, until):
    """Publishes the stream over and over, and goes on when those who read have read."""
    repeats = 0
    while not until(repeats):
        publisher.sendall(source.data)
        repeats += 1
        for reader in readers:
            reader.wait_for(repeats * len(source.data))
    return repeats


def stalled(command, source):
    """Who stalls misses what its queue has no room for, and goes on at a keyframe; or is disconnected. Others notice
    nothing."""
    limit = 256 << 10
    with Server(command, "--buffer-limit", str(limit), "--group-limit", "128k") as server:
        good = [Reader(server.subscribe("test")) for _ in range(2)]
        stalling = server.subscribe("test", receive_buffer=16 << 10)
        publisher = server.publish("test")
        seen = []

        def skipped_often(_):
            seen.append(server.statistics())
            return seen[-1]["skips"] >= 3 or len(seen) > 400

        repeats = lockstep(server, publisher, source, good, skipped_often)
        if seen[-1]["skips"] < 1:
            raise AssertionError(f"the one that stalls was never too slow: {seen[-1]}")
        longest = max(line["longest_queue_bytes"] for line in seen)
        live = max(line["live_bytes"] for line in seen)
        # One read more than the limit at most; beside the queue there are the group, the tables and what is not parsed.
        if not limit < longest <= limit + (64 << 10) or live > 2 * limit + (512 << 10):
            raise AssertionError(f"{longest} bytes in a queue, {live} bytes live with a limit of {limit}")
        # It wakes up, and is in step with the others again.
        waking = Reader(stalling)
        server.wait_for(queued_bytes=0)
        for _ in range(3):
            publisher.sendall(source.data)
            repeats += 1
            for reader in good:
                reader.wait_for(repeats * len(source.data))
        publisher.close()
        for reader in good:
            expect(reader.all(), source.data * repeats, "what others get")
        pieces = runs(waking.all(), source, repeats)
        skips = server.wait_for(streams=0)["skips"]
        # Of what it had not begun to read when it had to skip again, there is nothing.
        if not 2 <= len(pieces) <= skips + 1:
            raise AssertionError(f"{skips} skips made these runs: {pieces}")
        expect(pieces[0][0], 0, "where it begins")
        # How many times the stream was repeated while it missed it, its bytes can't tell.
        expect(pieces[-1][1] % len(source.data), 0, "where it ends")
        if any(before[1] >= after[0] for before, after in zip(pieces, pieces[1:])):
            raise AssertionError(f"the runs are not in order: {pieces}")
        server.wait_for(connections=0, live_bytes=0)

    with Server(command, "--buffer-limit", str(limit), "--slow", "drop") as server:
        good = Reader(server.subscribe("test"))
        stalling = server.subscribe("test", receive_buffer=16 << 10)
        publisher = server.publish("test")
        more = lockstep(
            server, publisher, source, [good],
            lambda count: count > 400 or server.statistics()["dropped_as_slow"] == 1)
        server.wait_for(dropped_as_slow=1, subscribers=1)
        publisher.close()
        expect(good.all(), source.data * more, "what the other gets")
        try:
            data = read_all(stalling)
        except ConnectionResetError:
            data = b""
        if (source.data * more)[: len(data)] != data:
            raise AssertionError("the one that was dropped got something else")
        stalling.close()
        server.wait_for(connections=0, live_bytes=0)
    return f"{skips} times ahead to a keyframe, at most {longest} bytes waiting with a limit of {limit}; or dropped"


def timed_out(command, source):
    """Who takes nothing at all for too long is disconnected, and who never says what it wants."""
    with Server(command, "--timeout", "1", "--slow", "wait", "--buffer-limit", "64k") as server:
        silent = server.connect(b"SUBSC")
        stalling = server.subscribe("test", receive_buffer=16 << 10)
        reader = Reader(server.subscribe("test"))
        publisher = server.publish("test")
        # The publisher waits for the one that stalls until that is disconnected.
        repeats = 16 * MEGABYTE // len(source.data)
        for _ in range(repeats):
            publisher.sendall(source.data)
        expect(read_all(silent), b"ERROR nothing was asked for in time\n")
        publisher.close()
        expect(reader.all(), source.data * repeats, "what the other gets")
        stalling.close()
        silent.close()
        seen = server.wait_for(connections=0, live_bytes=0)
        expect(seen["timed_out"], 2, "the disconnected")
    return "the publisher waits, then goes on"


def vanishing(command, source):
    """Subscribers and publishers that vanish in the middle."""
    with Server(command) as server:
        for way in (vanish, lambda connection: connection.close()):
            staying = Reader(server.subscribe("test"))
            leaving = [server.subscribe("test") for _ in range(4)]
            publisher = server.publish("test")
            half = len(source.data) // 2
            publisher.sendall(source.data[:half])
            staying.wait_for(half - half % PACKET)
            for connection in leaving:
                way(connection)
            publisher.sendall(source.data[half:-1000])
            whole = (len(source.data) - 1000) // PACKET * PACKET
            staying.wait_for(whole)
            # Its last packet is not whole, and nobody gets it.
            way(publisher)
            expect(staying.all(), source.data[:whole], "what the one that stays gets")
            server.wait_for(streams=0, connections=0, live_bytes=0)
        # The name is free again.
        taken = server.publish("test")
        expect(server.ask(b"PUBLISH test\n"), b"ERROR test is being published already\n")
        taken.close()
        # Somebody who closes its side still gets what it wants.
        reader = server.connect(b"SUBSCRIBE test\n")
        reader.shutdown(1)
        expect(read_line(reader), b"OK\n")
        publisher = server.publish("test")
        publisher.sendall(source.data)
        publisher.close()
        expect(read_all(reader), source.data, "what the one that closed its side gets")
        reader.close()
    return "by a reset and by closing"


def malformed(command, source):
    """What is damaged is forwarded as far as it is packets; what is no stream ends with a reason."""
    data = source.data
    noise = bytes(random_numbers.randrange(256) for _ in range(10_000))
    middle = 500 * PACKET
    bad_checksum = bytearray(data)
    table = next(place for place in range(0, len(data), PACKET) if data[place + 1 : place + 3] == b"\x40\x00")
    bad_checksum[table + 4 + 1 + 8] ^= 1
    wrong_length = bytearray(data)
    wrong_length[source.access_points[1] + 4] = 184
    damaged = {
        "noise before": noise + data,
        "noise between packets": data[:middle] + noise + data[middle:],
        "noise in a packet": data[: middle + 90] + noise + data[middle + 90 :],
        "noise at the end": data + noise[:1000],
        "a cut packet": data[: middle + 88] + data[middle + PACKET :],
        "many cut packets": b"".join(
            data[place : place + PACKET - (50 if place % (20 * PACKET) == 0 else 0)]
            for place in range(0, len(data), PACKET)),
        "a wrong sync byte": data[:middle] + b"\x48" + data[middle + 1 :],
        "every hundredth sync byte wrong": bytes(
            byte ^ (1 if place % (100 * PACKET) == 0 else 0) for place, byte in enumerate(data)),
        "nothing but sync bytes": b"\x47" * 20_000,
        "a wrong checksum in a table": bytes(bad_checksum),
        "a field longer than its packet": bytes(wrong_length),
        "two packets": data[: 2 * PACKET],
        "a packet and a half": data[:282],
        "nothing": b"",
    }
    with Server(command) as server:
        for title, stream in damaged.items():
            reader = Reader(server.subscribe("test"))
            publisher = server.publish("test")
            send_in_pieces(publisher, stream)
            publisher.close()
            expect(reader.all(), surviving(stream), title)
        seen = server.wait_for(streams=0, connections=0, live_bytes=0)
        for name in ("sync_losses", "skipped_bytes", "continuity_errors", "checksum_errors", "malformed"):
            if seen[name] == 0:
                raise AssertionError(f"{name} were not counted: {seen}")

        reader = Reader(server.subscribe("test"))
        publisher = server.publish("test")
        publisher.sendall(data[:PACKET * 10] + bytes(100_000))
        answer = read_all(publisher)
        if not answer.startswith(b"ERROR no transport stream: "):
            raise AssertionError(f"a publisher of zeroes is answered {answer!r}")
        publisher.close()
        expect(reader.all(), data[: PACKET * 10], "what came before the zeroes")

        line_error = b"ERROR PUBLISH name, SUBSCRIBE name, STATISTICS or HTTP is expected\n"
        name_error = b"ERROR a name is 1 to 64 letters, digits, '.', '_', '-' and '/'\n"
        long_line = b"ERROR the first line is longer than 1024 bytes\n"
        for request, answer in {
            b"HELLO\n": line_error,
            b"\n": line_error,
            b"PUBLISH\n": line_error,
            b"PUBLISH a b\n": line_error,
            b"SUBSCRIBE " + b"a" * 65 + b"\n": name_error,
            b"PUBLISH a\xff\n": name_error,
            b"SUBSCRIBE \x00\r\n": name_error,
            b"PUBLISH " + b"x" * 2000: long_line,
            b"x" * 1_000_000: long_line,
            b"\xff" * 5000: long_line,
            b"DELETE /test HTTP/1.1\r\n\r\n": b"ERROR no such method\n",
            b"GET /test HTTP/1.1\r\n" + b"A: b\r\n" * 5000: b"ERROR the request's head is longer than 8192 bytes\n",
        }.items():
            with server.connect() as connection:
                try:
                    connection.sendall(request)
                except OSError:
                    # It was answered before all was sent.
                    pass
                expect(read_all(connection), answer, f"the answer to {request[:40]!r}")
        chunks = b"POST /test HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        for body in (b"zz\r\n", b"\r\n", b"3\r\nabcX", b"123456789\r\n"):
            answer = server.ask(chunks + body)
            if not answer.endswith(b"a malformed chunk\n"):
                raise AssertionError(f"the chunk {body!r} is answered {answer!r}")
        for _ in range(200):
            size = random_numbers.choice([1, 3, 4, 100, 3000])
            with server.connect(bytes(random_numbers.randrange(256) for _ in range(size))):
                pass
        server.wait_for(streams=0, connections=0, live_bytes=0)
    return f"{len(damaged)} damaged streams, requests that are none"

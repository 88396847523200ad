#!/usr/bin/env python3
"""Sends the conversations of protocol-cases.txt, and some that are easier to compute, to a cache server on raw sockets,
and prints what comes back as a transcript. The same script against two servers shows by `diff` where they differ.

    protocol.py HOST PORT [CASE TITLE PART]

Every case has a connection and keys of its own. After its bytes comes `version`, so that the transcript shows whether
the server still listens, and then the end of what we send: the server must answer what it has got and close.
What must differ is left out by rule: the version's text, and the numbers of `gets`, which become #1, #2, … in the
order in which they appear. A long value is shown as its length and its SHA-1.
"""

import concurrent.futures
import hashlib
import os
import re
import socket
import sys
import time

TIMEOUT = 10.0
CASES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "protocol-cases.txt")


def expand(line):
    """The bytes of a line of the case file, and the pauses in it: [bytes, seconds, bytes, …]."""
    line = re.sub(r"\{(\d+)\*([^}]*)\}", lambda m: m[2] * int(m[1]), line)
    end = b"\r\n"
    if line.endswith("\\c"):
        line, end = line[:-2], b""
    pieces = []
    for i, part in enumerate(re.split(r"\\p\{([\d.]+)\}", line)):
        if i % 2:
            pieces.append(float(part))
        else:
            simple = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "e": "", "\\": "\\"}
            text = re.sub(
                r"\\(x[0-9a-f]{2}|.)", lambda m: chr(int(m[1][1:], 16)) if len(m[1]) > 1 else simple[m[1]], part)
            pieces.append(text.encode("latin-1"))
    pieces[-1] += end
    return pieces


def joined(pieces):
    """Neighbouring bytes as one piece, so that they are sent together."""
    result = []
    for piece in pieces:
        if isinstance(piece, bytes) and result and isinstance(result[-1], bytes):
            result[-1] += piece
        else:
            result.append(piece)
    return [piece for piece in result if piece != b""]


def written_cases():
    """(title, pieces, alone) for every case of the file."""
    title, alone, pieces = None, False, []
    with open(CASES, encoding="utf-8") as file:
        for line in file.read().split("\n") + [""]:
            if line.startswith("#") and title is None:
                continue
            if line.startswith("=="):
                title, alone, pieces = line.lstrip("=!").strip(), line.startswith("==!"), []
            elif line == "":
                if title is not None:
                    yield title, joined(pieces), alone
                title = None
            else:
                pieces += expand(line)


def computed_cases():
    """Cases of one pattern: every split of a conversation, every field of a command with every kind of bad number."""
    talk = b"set key 7 0 5\r\na\r\nbc\r\nget key no\r\nincr key 1\r\ndelete key noreply\r\nget key\r\n"
    for i in range(1, len(talk)):
        whole = talk.replace(b"key", b"%03d" % i)
        yield f"split at byte {i}", [whole[:i], 0.02, whole[i:]], False
    yield "a byte at a time", [x for byte in talk for x in (bytes([byte]), 0.002)], False

    numbers = ["-1", "+1", "01", "1.0", "1e3", "0x1", "1 ", "''", "\u00e9", "-", "+", "1-", "99999999999999999999",
               "2147483648", "4294967295", "4294967296", "-2147483649", "9223372036854775808"]
    for command in ["set", "add", "replace", "append", "prepend"]:
        for field, name in enumerate(["flags", "expiry", "length"]):
            for number in numbers:
                fields = ["0", "0", "1"]
                fields[field] = number
                text = f"set $a 0 0 1\r\n1\r\n{command} $a {' '.join(fields)}\r\nx\r\nget $a\r\n"
                yield f"{command} with {number!r} as {name}", [text.encode()], False
    for command in ["incr", "decr", "touch"]:
        for number in numbers:
            text = f"set $a 0 0 1\r\n5\r\n{command} $a {number}\r\nget $a\r\n"
            yield f"{command} by {number!r}", [text.encode()], False
    for number in numbers:
        text = f"set $a 0 0 1\r\n5\r\ncas $a 0 0 1 {number}\r\n6\r\nget $a\r\n"
        yield f"cas with {number!r} as its number", [text.encode()], False

    for length in [1, 249, 250, 251, 252, 500, 1023, 1024]:
        for command in ["get", "gets", "delete", "touch", "incr"]:
            rest = {"get": "", "gets": "", "delete": "", "touch": " 10", "incr": " 1"}[command]
            key = (f"L{length}{command}" + "k" * length)[:length] if length > 1 else "k"
            yield f"{command} with a key of {length} bytes", [f"{command} {key}{rest}\r\n".encode()], False
    for fields in range(9):
        for command in ["get", "set", "add", "cas", "append", "delete", "incr", "touch", "version", "verbosity"]:
            words = ["$a", "0", "0", "0", "0", "0", "0", "0", "0"][:fields]
            text = " ".join([command] + words) + "\r\n\r\nget $a\r\n"
            yield f"{command} with {fields} fields", [text.encode()], False

    values = [0, 1, 2, 100, 1000, 4095, 4096, 4097, 16383, 16384, 16385, 65535, 65536, 65537, 262144, 524288, 1000000]
    for length in values:
        data = (hashlib.sha256(str(length).encode()).digest() * (length // 32 + 1))[:length]
        text = f"set $a 0 0 {length}\r\n".encode() + data + b"\r\nget $a\r\nappend $a 0 0 3\r\nend\r\nget $a\r\n"
        yield f"a value of {length} bytes, then 3 more", [text], False


def conversation(host, port, pieces):
    """What the server answers until it closes, and how it closed when that wasn't after our end."""
    note = b""
    received = bytearray()
    with socket.create_connection((host, port), timeout=TIMEOUT) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in pieces:
                if isinstance(piece, float):
                    time.sleep(piece)
                else:
                    send_while_reading(connection, piece, received)
            connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError, OSError) as error:
            if isinstance(error, TimeoutError):
                note = b"[the server takes no more]"
        try:
            while True:
                data = connection.recv(1 << 16)
                if not data:
                    break
                received += data
        except ConnectionResetError:
            pass  # a server that closes with something unread resets: the answers before it are what counts
        except TimeoutError:
            note = b"[no end after %d seconds]" % TIMEOUT
    return bytes(received), note


def send_while_reading(connection, data, received):
    """A server may stop reading until its answers are read, so we read them in between."""
    view = memoryview(data)
    connection.settimeout(0.5)
    deadline = time.monotonic() + TIMEOUT
    while view:
        try:
            view = view[connection.send(view[: 1 << 16]):]
        except TimeoutError:
            if time.monotonic() > deadline:
                raise
            received += connection.recv(1 << 20)
    connection.settimeout(TIMEOUT)


def shown(data):
    """Bytes as a line of the transcript."""
    if len(data) > 200:
        return f"{repr(data[:24])[1:]}… {len(data)} bytes, sha1 {hashlib.sha1(data).hexdigest()}"
    return repr(data)[1:]


def cleaned(data):
    """An answer without what must differ, as lines. A value is taken by its length, whatever is in it."""
    lines, uniques, at = [], {}, 0
    while at < len(data):
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end + 1
        line, at = data[at:end], end
        match = re.fullmatch(rb"VALUE (\S+) (\d+) (\d+)( \d+)?\r\n", line)
        if match:
            length = int(match[3])
            if match[4]:
                line = line.replace(match[4] + b"\r\n", b" #%d\r\n" % uniques.setdefault(match[4], len(uniques) + 1))
            lines.append(shown(line))
            lines.append(shown(data[at : at + length + 2]))
            at += length + 2
        else:
            lines.append(shown(re.sub(rb"^VERSION \S+\r\n$", b"VERSION *\r\n", line)))
    return lines


def run(number, case, host, port):
    title, pieces, _ = case
    keys = {b"$" + letter: letter + b"%d" % number for letter in (b"a", b"b", b"c")}
    real = []
    for piece in pieces + [b"version\r\n"]:
        if isinstance(piece, bytes):
            for name, key in keys.items():
                piece = piece.replace(name, key)
        real.append(piece)
    answer, note = conversation(host, port, joined(real))
    lines = [f"== {number} {title}"]
    sent = b"".join(piece for piece in real[:-1] if isinstance(piece, bytes))
    lines += [f"> {shown(line)}" for line in sent.splitlines(True)[:12]]
    lines += [f"< {line}" for line in cleaned(answer)]
    if note:
        lines.append(f"! {note.decode()}")
    return "\n".join(lines)


def main():
    host, port, part = sys.argv[1], int(sys.argv[2]), (sys.argv[3:] or [""])[0]
    cases = [(i, case) for i, case in enumerate([*written_cases(), *computed_cases()], 1) if part in case[0]]
    with concurrent.futures.ThreadPoolExecutor(max_workers=12) as pool:
        together = pool.map(lambda c: run(c[0], c[1], host, port), [c for c in cases if not c[1][2]])
        for text in together:
            print(text, end="\n\n")
    for number, case in cases:
        if case[2]:
            print(run(number, case, host, port), end="\n\n")


main()

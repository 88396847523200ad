"""A server process, and connections to it."""

import random
import re
import signal
import socket
import struct
import subprocess
import threading
import time

# Nothing here waits for a time to pass; this is when it is clear that something will not come.
PATIENCE = 60
MEGABYTE = 1 << 20
# The same ones each time.
random_numbers = random.Random(5)


class Server:
    """A server on a free port, with some options."""

    def __init__(self, command, *options):
        self.process = subprocess.Popen(
            [*command, "--port", "0", *options], stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        found = re.search(r"listening on \S+:(\d+)", line)
        if not found:
            raise AssertionError(f"the server did not start: {line}")
        self.port = int(found.group(1))

    def connect(self, first=b"", receive_buffer=None):
        connection = socket.socket()
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(PATIENCE)
        connection.connect(("127.0.0.1", self.port))
        connection.sendall(first)
        return connection

    def ask(self, request):
        """Sends a request, and returns all that is answered."""
        with self.connect(request) as connection:
            return read_all(connection)

    def statistics(self):
        return {name: int(value) for name, value in (
            line.split() for line in self.ask(b"STATISTICS\n").decode().splitlines())}

    def wait_for(self, **values):
        """Waits until statistics are what they should become."""
        deadline = time.monotonic() + PATIENCE
        while True:
            seen = self.statistics()
            if all(seen[name] == value for name, value in values.items()):
                return seen
            if time.monotonic() > deadline:
                raise AssertionError(f"{values} did not come: {seen}")
            time.sleep(0.005)

    def publish(self, name):
        connection = self.connect(f"PUBLISH {name}\n".encode())
        expect(read_line(connection), b"OK\n")
        return connection

    def subscribe(self, name, receive_buffer=None):
        connection = self.connect(f"SUBSCRIBE {name}\n".encode(), receive_buffer)
        expect(read_line(connection), b"OK\n")
        return connection

    def resident(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS:"))

    def peak_resident(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM:"))

    def cpu_seconds(self):
        # The clock of a process: see clock_getcpuclockid.
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def stop(self, says="allocator: no leaks"):
        """Stops the server, which must end in good order."""
        self.process.send_signal(signal.SIGTERM)
        try:
            _, errors = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("the server did not stop") from None
        if self.process.returncode != 0 or says not in errors:
            raise AssertionError(f"the server ended with status {self.process.returncode}: {errors}")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            self.process.kill()
            self.process.wait()


class Reader(threading.Thread):
    """Reads a connection to its end."""

    def __init__(self, connection):
        super().__init__(daemon=True)
        self.connection = connection
        self.data = bytearray()
        self.error = None
        self.changed = threading.Condition()
        self.start()

    def run(self):
        try:
            while chunk := self.connection.recv(1 << 18):
                with self.changed:
                    self.data += chunk
                    self.changed.notify_all()
        except OSError as error:
            self.error = error
        self.connection.close()

    def wait_for(self, count):
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.data) >= count, PATIENCE):
                raise AssertionError(f"{len(self.data)} bytes came of {count}")

    def all(self):
        self.join(PATIENCE)
        if self.is_alive():
            raise AssertionError(f"the connection did not end; {len(self.data)} bytes came")
        if self.error:
            raise self.error
        return bytes(self.data)


def read_line(connection):
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            break
        line += byte
    return line


def read_all(connection):
    data = bytearray()
    while chunk := connection.recv(1 << 18):
        data += chunk
    return bytes(data)


def send_in_pieces(connection, data):
    """Sends data in pieces that begin and end anywhere."""
    place = 0
    while place < len(data):
        size = random_numbers.choice([1, 7, 187, 188, 189, 1316, 5000, 40_000, 200_000])
        connection.sendall(data[place : place + size])
        place += size


def vanish(connection):
    """Closes a connection by a reset, as a process that was killed with unread data does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def expect(got, wanted, what="the answer"):
    if got == wanted:
        return
    if isinstance(got, bytes) and isinstance(wanted, bytes):
        place = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
        raise AssertionError(
            f"{what}: {len(got)} bytes instead of {len(wanted)}, different from {place} on:"
            f" {got[place:place + 16]!r} instead of {wanted[place:place + 16]!r}")
    raise AssertionError(f"{what}: {got!r} instead of {wanted!r}")

"""One connection to a cache server, on asyncio, as the torture's clients want it: every read has a time limit, and it
can be closed in all the ways in which clients go."""

import asyncio
import random
import socket
import struct


def free_ports(count):
    """Ports that nobody listens on, below those that the kernel gives to outgoing connections, so that none of the many
    connections of these tests takes one before its server does."""
    found = []
    for port in random.sample(range(15_000, 32_000), 1000):
        with socket.socket() as test:
            try:
                test.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise OSError("no free port")


class Broken(Exception):
    """The server broke its promise to a client that behaved."""


class Wire:
    def __init__(self, port, patience=15.0):
        self.port = port
        self.patience = patience
        self.buffer = bytearray()
        self.socket = None

    async def open(self):
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(self.socket, ("127.0.0.1", self.port))
        return self

    async def __aenter__(self):
        return await self.open()

    async def __aexit__(self, *_):
        self.close()

    def close(self):
        """Closes; with something unread that is a reset, as the kernel does it."""
        if self.socket is not None:
            self.socket.close()
        self.socket = None

    def reset(self):
        """Closes with a reset, whatever is unread or unsent."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    async def send(self, data):
        async with asyncio.timeout(self.patience):
            await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def some(self, limit=1 << 18):
        """What is there, at least a byte; b"" at the end."""
        if self.buffer:
            data = bytes(self.buffer[:limit])
            del self.buffer[:limit]
            return data
        async with asyncio.timeout(self.patience):
            return await asyncio.get_running_loop().sock_recv(self.socket, limit)

    async def fill(self):
        async with asyncio.timeout(self.patience):
            data = await asyncio.get_running_loop().sock_recv(self.socket, 1 << 18)
        if not data:
            raise ConnectionResetError("closed by the server")
        self.buffer += data

    async def line(self):
        while (end := self.buffer.find(b"\n")) < 0:
            await self.fill()
        line = bytes(self.buffer[: end + 1])
        del self.buffer[: end + 1]
        return line

    async def exactly(self, count):
        while len(self.buffer) < count:
            await self.fill()
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    async def ask(self, command):
        await self.send(command)
        return await self.line()

    async def store(self, key, value, command=b"set", flags=0, unique=b""):
        return await self.ask(b"%s %s %d 0 %d%s\r\n%s\r\n" % (command, key, flags, len(value), unique, value))

    async def read_value(self, key):
        """The answer to a `get` of one key: (value, flags, cas number) or None."""
        line = await self.line()
        if line == b"END\r\n":
            return None
        fields = line.split()
        if len(fields) not in (4, 5) or fields[0] != b"VALUE" or fields[1] != key or not line.endswith(b"\r\n"):
            raise Broken(f"asked for {key}, got {line[:100]}")
        data = await self.exactly(int(fields[3]) + 2)
        end = await self.line()
        if data[-2:] != b"\r\n" or end != b"END\r\n":
            raise Broken(f"the value of {key} ends in {data[-2:]} and {end[:100]}")
        return data[:-2], int(fields[2]), fields[4] if len(fields) == 5 else None

    async def value(self, key):
        await self.send(b"get %s\r\n" % key)
        found = await self.read_value(key)
        return None if found is None else found[0]

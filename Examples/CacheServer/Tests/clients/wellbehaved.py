"""A client that behaves: it alone uses its keys, remembers what it stored and checks each answer. A value may be gone,
since the server evicts and others say `flush_all`, but what is there must be the last that was stored."""

import asyncio
import random
import time

from wire import Broken, Wire

NO_MEMORY = b"SERVER_ERROR out of memory storing object\r\n"


class WellBehaved:
    def __init__(self, port, seed, prefix, patience):
        self.port = port
        self.random = random.Random(seed)
        self.prefix = prefix.encode()
        self.patience = patience
        self.model = {}  # key: (value, flags); None where the server may have either nothing or something
        self.requests = self.hits = self.misses = 0
        self.slowest = 0.0

    async def run(self, end):
        """Works until the time is up, on a new connection every now and then."""
        while time.monotonic() < end:
            async with Wire(self.port, self.patience) as wire:
                for _ in range(self.random.randint(20, 500)):
                    if time.monotonic() > end:
                        break
                    started = time.monotonic()
                    try:
                        await self.step(wire)
                    except (ConnectionError, TimeoutError) as error:
                        raise Broken(f"a client that behaved lost its connection: {error!r}") from error
                    self.slowest = max(self.slowest, time.monotonic() - started)
                    self.requests += 1
                    await asyncio.sleep(0)

    def new_value(self):
        choice = self.random
        size = choice.choice([0, 1, choice.randint(2, 100), choice.randint(100, 2000), choice.randint(2000, 30_000),
                              choice.randint(30_000, 300_000)])
        return choice.randbytes(size)

    async def step(self, wire):
        choice = self.random
        key = self.prefix + b"%d" % choice.randrange(60)
        flags = choice.getrandbits(32)
        action = choice.choices(
            "get several set noreply add replace append prepend cas incr delete touch".split(),
            [30, 5, 15, 5, 3, 3, 3, 3, 3, 3, 3, 3])[0]
        if action == "get":
            await self.check(wire, key)
        elif action == "several":
            await self.check_several(wire)
        elif action == "noreply":
            value = self.new_value()
            await wire.send(b"set %s %d 0 %d noreply\r\n%s\r\n" % (key, flags, len(value), value))
            self.model[key] = (value, flags)
            await self.check(wire, key)
        elif action in ("set", "add", "replace", "append", "prepend"):
            await self.store(wire, action, key, flags)
        elif action == "cas":
            await self.compare_and_set(wire, key, flags)
        elif action == "incr":
            await self.count(wire, key)
        elif action == "delete":
            answer = await wire.ask(b"delete %s\r\n" % key)
            self.expect(answer, [b"DELETED\r\n"] if key in self.model else [], [b"NOT_FOUND\r\n"])
            self.model.pop(key, None)
            await self.check(wire, key)
        else:
            answer = await wire.ask(b"touch %s 1000\r\n" % key)
            self.expect(answer, [b"TOUCHED\r\n"] if key in self.model else [], [b"NOT_FOUND\r\n"])
            if answer == b"NOT_FOUND\r\n":
                self.model.pop(key, None)

    def expect(self, answer, *answers):
        if answer not in sum(answers, []):
            raise Broken(f"answered {answer[:100]}, expected one of {answers}")

    def matches(self, key, found):
        """What a get found, against the model. A miss forgets the key."""
        if found is None:
            self.misses += 1
            self.model.pop(key, None)
            return
        if key not in self.model:
            raise Broken(f"{key} has a value of {len(found[0])} bytes, and was never stored, or was deleted")
        if found[:2] != self.model[key]:
            wanted = self.model[key]
            raise Broken(f"{key} is not what was stored: {len(found[0])} bytes for {len(wanted[0])}, "
                         f"flags {found[1]} for {wanted[1]}")
        self.hits += 1

    async def check(self, wire, key):
        await wire.send(b"get %s\r\n" % key)
        self.matches(key, await wire.read_value(key))

    async def check_several(self, wire):
        """Pipelined gets: the answers come in their order."""
        keys = [self.prefix + b"%d" % self.random.randrange(60) for _ in range(10)]
        await wire.send(b"".join(b"get %s\r\n" % key for key in keys))
        for key in keys:
            self.matches(key, await wire.read_value(key))

    async def store(self, wire, action, key, flags):
        value = self.new_value()
        answer = await wire.store(key, value, action.encode(), flags)
        if answer.startswith(b"SERVER_ERROR"):  # no memory just now: nothing is stored, and the old value may be gone
            if action == "set" and key in self.model:
                self.expect(answer, [NO_MEMORY])
                await wire.ask(b"delete %s\r\n" % key)
                self.model.pop(key)
            return
        self.expect(answer, [b"STORED\r\n", b"NOT_STORED\r\n"])
        if answer == b"STORED\r\n":
            if action in ("set", "add", "replace"):
                if action == "replace" and key not in self.model:
                    raise Broken(f"{key} was replaced, though it was not there")
                self.model[key] = (value, flags)
            elif key in self.model:
                old, old_flags = self.model[key]
                self.model[key] = (old + value if action == "append" else value + old, old_flags)
            else:
                raise Broken(f"{key} was not there, and something was put beside it")
        elif action == "set":
            raise Broken(f"{key} was not stored")
        elif action != "add" and key in self.model:
            # Evicted before, or too large to put anything beside it: a get tells which.
            await self.check(wire, key)
        elif action == "add" and key not in self.model:
            raise Broken(f"{key} was not there, and was not added")

    async def compare_and_set(self, wire, key, flags):
        await wire.send(b"gets %s\r\n" % key)
        found = await wire.read_value(key)
        self.matches(key, found)
        if found is None:
            return
        value = self.new_value()
        unique = found[2] if self.random.random() < 0.7 else b"%d" % (int(found[2]) + 1_000_000_000)
        answer = await wire.store(key, value, b"cas", flags, b" " + unique)
        self.expect(answer, [b"STORED\r\n" if unique == found[2] else b"EXISTS\r\n"], [b"NOT_FOUND\r\n"],
                    [NO_MEMORY])
        if answer == b"STORED\r\n":
            self.model[key] = (value, flags)
        elif answer != b"EXISTS\r\n":
            await wire.ask(b"delete %s\r\n" % key)
            self.model.pop(key)

    async def count(self, wire, key):
        key, start, step = key + b"#", self.random.randrange(1 << 40), self.random.randrange(1 << 20)
        answer = await wire.store(key, b"%d" % start)
        self.expect(answer, [b"STORED\r\n"], [NO_MEMORY])
        answer = await wire.ask(b"incr %s %d\r\n" % (key, step))
        self.expect(answer, [b"%d\r\n" % (start + step)], [b"NOT_FOUND\r\n"])

"""Clients that don't behave: each method is one way of being a burden to a cache server, on a connection of its own.
What they get is theirs to bear; where the protocol does promise something even to them, they check it."""

import asyncio
import random
import time

from wire import Broken

# Values that everyone reads and nobody changes.
BIG_VALUES = {
    b"big%d" % i: random.Random(i).randbytes(size)
    for i, size in enumerate([1_000_000, 1_040_000, 700_000, 300_000, 100_000, 20_000])
}
COMMANDS = [
    b"get k1 k2 k3\r\n", b"gets k1\r\n", b"set k1 1 0 5\r\nhello\r\n", b"set k2 0 100 3 noreply\r\nabc\r\n",
    b"add k3 0 0 1\r\n1\r\n", b"replace k3 0 0 2\r\n12\r\n", b"append k1 0 0 2\r\n\r\n\r\n",
    b"prepend k1 0 0 1\r\nx\r\n", b"cas k1 0 0 1 1\r\nz\r\n",
    b"incr k3 1\r\n", b"decr k3 5\r\n", b"delete k2\r\n", b"delete k1 noreply\r\n", b"touch k3 100\r\n", b"stats\r\n",
    b"stats slabs\r\n", b"version\r\n", b"verbosity 0\r\n", b"get k3\r\n", b"set k4 0 -1 1\r\nx\r\n",
]
# The ways that stay within the protocol, if barely: the server may not close these connections.
PROMISED = {"slow_reader", "half_closed", "too_large", "flood", "dribble", "churn"}


class Hostile:
    def __init__(self, wire, choice, end):
        self.wire, self.random, self.end = wire, choice, end

    @staticmethod
    def names():
        """All the ways; a way that others need more often stands there more often."""
        ways = sorted(name for name in vars(Hostile) if not name.startswith("_") and name not in ("names", "run"))
        return ways + ["churn", "churn", "mutated", "mutated", "vanish_in_answer", "reset_at_once"]

    async def run(self, name):
        try:
            await getattr(self, name)()
        except TimeoutError as error:
            raise Broken(f"{name}: nothing from the server for {self.wire.patience:g} seconds") from error
        except ConnectionError as error:
            if name in PROMISED:
                raise Broken(f"{name}: the server closed the connection too soon") from error
            raise

    # What the ways have in common.

    def _leave(self):
        """One of the ways to go."""
        if self.random.random() < 0.5:
            self.wire.reset()
        else:
            self.wire.close()

    async def _answers_for(self, seconds):
        """Reads whatever comes for a while."""
        try:
            async with asyncio.timeout(seconds):
                while await self.wire.some():
                    pass
        except TimeoutError:
            pass

    def _talk(self, length):
        return b"".join(self.random.choice(COMMANDS) for _ in range(length))

    def _pause(self):
        return asyncio.sleep(self.random.random() * 0.05)

    # The ways.

    async def garbage(self):
        """Bytes of any kind."""
        await self.wire.send(self.random.randbytes(self.random.choice([1, 10, 100, 3000, 70_000])))
        await self._answers_for(0.05)
        self._leave()

    async def printable_garbage(self):
        """Words, blanks and line ends, in any order."""
        words = b"get set cas incr k1 0 -1 9999999999 noreply".split() + [b"", b" ", b"\r\n", b"\n", b"\r", b"\0"]
        await self.wire.send(b" ".join(self.random.choices(words, k=self.random.randint(1, 400))))
        await self._answers_for(0.05)
        self._leave()

    async def mutated(self):
        """Commands with a few bytes changed, dropped, doubled or put in."""
        talk = bytearray(self._talk(self.random.randint(1, 20)))
        for _ in range(self.random.randint(1, 8)):
            at = self.random.randrange(len(talk))
            change = self.random.randrange(4)
            if change == 0:
                talk[at] = self.random.randrange(256)
            elif change == 1:
                del talk[at : at + self.random.randint(1, 5)]
            elif change == 2:
                talk[at:at] = talk[at : at + self.random.randint(1, 30)]
            else:
                talk[at:at] = self.random.randbytes(self.random.randint(1, 5))
            if not talk:
                return
        await self.wire.send(bytes(talk))
        await self._answers_for(0.05)
        self._leave()

    async def vanish_in_command(self):
        """Good commands, the last one cut short."""
        talk = self._talk(self.random.randint(1, 10))
        await self.wire.send(talk[: self.random.randrange(len(talk))])
        await self._pause()
        self._leave()

    async def vanish_in_data(self):
        """A large value that never comes whole."""
        size = self.random.randint(1000, 1_000_000)
        await self.wire.send(b"set gone%d 0 0 %d\r\n" % (self.random.randrange(10), size))
        await self.wire.send(b"x" * self.random.randrange(size))
        await self._pause()
        self._leave()

    async def vanish_in_answer(self):
        """Asks for a lot, reads a part, goes with the rest unread."""
        await self.wire.send(b"get big0 big1 big2\r\nget big3\r\n" * self.random.randint(1, 10))
        left = self.random.choice([1, 100, 50_000, 500_000])
        try:
            async with asyncio.timeout(0.5):  # there is less where the values are evicted
                while left > 0 and (data := await self.wire.some(left)):
                    left -= len(data)
        except TimeoutError:
            pass
        self._leave()

    async def reset_at_once(self):
        """Asks for a lot and resets, so that the server finds out in the middle of writing."""
        await self.wire.send(b"get big0 big1 big2 big3 big4\r\n" * self.random.randint(1, 5))
        if self.random.random() < 0.7:
            await asyncio.sleep(self.random.random() * 0.01)
        self.wire.reset()

    async def never_read(self):
        """Asks for hundreds of megabytes and reads nothing."""
        self.wire.patience = 1.0
        try:
            await self.wire.send(b"get big0 big1 big2 big3 big4\r\n" * 300)
        except TimeoutError:
            pass  # a server that stops reading is right
        await asyncio.sleep(self.random.random() * 2)
        self._leave()

    async def slow_reader(self):
        """Reads large values a little at a time, and they must be right, whoever evicts them meanwhile."""
        key = self.random.choice(list(BIG_VALUES))
        await self.wire.send(b"get %s\r\n" % key)
        line = await self.wire.line()
        if line == b"END\r\n":
            return
        if not line.startswith(b"VALUE " + key):
            raise Broken(f"asked for {key}, got {line[:100]}")
        wanted, got = BIG_VALUES[key], bytearray()
        while len(got) < len(wanted) and time.monotonic() < self.end:
            piece = await self.wire.some(min(self.random.choice([1000, 20_000, 60_000]), len(wanted) - len(got)))
            if not piece or wanted[len(got) : len(got) + len(piece)] != piece:
                raise Broken(f"{key} is wrong from byte {len(got)} on, or ends there")
            got += piece
            await asyncio.sleep(0.01)

    async def half_closed(self):
        """Says that it has no more to say, and must have all the answers."""
        key = self.random.choice(list(BIG_VALUES))
        count = self.random.randint(1, 3)
        await self.wire.send(b"get %s\r\n" % key * count + b"version\r\n")
        self.wire.half_close()
        for _ in range(count):
            found = await self.wire.read_value(key)
            if found is not None and found[0] != BIG_VALUES[key]:
                raise Broken(f"{key} is not what was stored")
        if not (await self.wire.line()).startswith(b"VERSION"):
            raise Broken("the last answer after a half-close is not the last command's")
        if await self.wire.some() != b"":
            raise Broken("the connection is not closed after a half-close")

    async def half_closed_in_command(self):
        """Ends in the middle of a command: the server closes too."""
        await self.wire.send(self.random.choice([b"get k", b"set k9 0 0 10\r\nabc", b"set k9 0 0 10", b"", b"\r"]))
        self.wire.half_close()
        while await self.wire.some():
            pass

    async def come_and_go(self):
        """Connects and leaves."""
        self._leave()

    async def sit(self):
        """Connects and says nothing."""
        await asyncio.sleep(self.random.random())

    async def huge_length(self):
        """A length of gigabytes, and some of it."""
        length = self.random.choice([2_147_483_645, 2_000_000_000, 100_000_000, 5_000_000])
        await self.wire.send(b"set huge 0 0 %d\r\n" % length)
        self.wire.patience = 1.0
        try:
            for _ in range(self.random.randint(0, 60)):
                await self.wire.send(b"y" * 65536)
        except TimeoutError:
            pass
        self._leave()

    async def too_large(self):
        """A value that is too large is refused, and the connection works on."""
        answer = await self.wire.store(b"toolarge", b"z" * self.random.randint(1_048_577, 3_000_000))
        if not answer.startswith(b"SERVER_ERROR"):
            raise Broken(f"a value that is too large was answered by {answer[:100]}")
        if not (await self.wire.ask(b"version\r\n")).startswith(b"VERSION"):
            raise Broken("no version after a value that was too large")

    async def endless_line(self):
        """A line that does not end."""
        start = self.random.choice([b"get ", b"set ", b"", b" ", b"version "])
        self.wire.patience = 1.0
        try:
            for _ in range(self.random.randint(1, 30)):
                await self.wire.send(start + b"k " * 20_000)
                start = b""
        except TimeoutError:
            pass
        self._leave()

    async def many_keys(self):
        """A get of thousands of keys, read or not."""
        await self.wire.send(b"get " + b" ".join(b"k%d" % (i % 5) for i in range(5000)) + b"\r\n")
        await self._answers_for(0.1)
        self._leave()

    async def flood(self):
        """Thousands of commands without an answer, then gone, or a check that the last one was heard."""
        key = b"flood%d" % self.random.randrange(10**9)
        await self.wire.send(b"".join(b"set %s 0 0 6 noreply\r\n%06d\r\n" % (key, i) for i in range(3000)))
        if self.random.random() < 0.5:
            self._leave()
            return
        value = await self.wire.value(key)
        if value not in (b"002999", None):
            raise Broken(f"the last of 3000 sets is not what is there, but {value}")

    async def dribble(self):
        """A byte at a time."""
        for byte in b"set slow 0 0 4\r\n\r\n\r\n\r\nget slow\r\nversion\r\n":
            await self.wire.send(bytes([byte]))
            await asyncio.sleep(0.003)
        if await self.wire.line() != b"STORED\r\n":
            raise Broken("a value that came a byte at a time was not stored")
        await self.wire.read_value(b"slow")
        if not (await self.wire.line()).startswith(b"VERSION"):
            raise Broken("no version after a command that came a byte at a time")

    async def churn(self):
        """Fills the memory with values of all sizes, so that others' are evicted, also while they are being sent."""
        for _ in range(self.random.randint(1, 40)):
            size = int(2 ** self.random.uniform(2, 19.8))
            await self.wire.store(b"churn%d" % self.random.randrange(5000), b"c" * size)
            await asyncio.sleep(0)
        for key in self.random.sample(list(BIG_VALUES), 2):
            await self.wire.store(key, BIG_VALUES[key])

    async def quarrel(self):
        """Many clients, the same few keys, every way to change them."""
        for _ in range(30):
            key = b"quarrel%d" % self.random.randrange(3)
            size = self.random.choice([1, 10, 1000, 200_000])
            text = self.random.choice([
                b"set KEY 0 0 %d\r\n%s\r\n" % (size, b"1" * size), b"append KEY 0 0 %d\r\n%s\r\n" % (size, b"1" * size),
                b"prepend KEY 0 0 3\r\n111\r\n", b"incr KEY 1\r\n", b"decr KEY 1\r\n", b"delete KEY\r\n",
                b"touch KEY 1\r\n", b"get KEY\r\n", b"gets KEY KEY\r\n", b"cas KEY 0 0 1 7\r\n1\r\n",
                b"set KEY 0 -1 1\r\n1\r\n", b"add KEY 0 1 1\r\n1\r\n",
            ])
            await self.wire.send(text.replace(b"KEY", key))
            await self._answers_for(0.002)

    async def flush(self):
        """flush_all, now and then."""
        if self.random.random() < 0.01:
            await self.wire.ask(b"flush_all\r\n")

#!/usr/bin/env python3
"""A real client library, pymemcache, against a cache server: every call it has, and what it returned, as a transcript.
The same script against two servers shows by `diff` where they differ.

    pymemcache_client.py HOST PORT

What must differ is left out by rule: the version, cas numbers, and the values of `stats`, of which the counters' growth
over a known piece of work is shown instead.
"""

import hashlib
import sys
import threading
import time

from pymemcache.client.base import Client, PooledClient
from pymemcache.client.retrying import RetryingClient
from pymemcache.serde import pickle_serde

HOST, PORT = sys.argv[1], int(sys.argv[2])
SERVER = (HOST, PORT)

# What these pieces of work count up, in any memcached.
COUNTERS = """cmd_get cmd_set cmd_flush cmd_touch get_hits get_misses delete_hits delete_misses incr_hits incr_misses
    decr_hits decr_misses cas_hits cas_misses cas_badval touch_hits touch_misses total_items curr_items""".split()
# What every `stats` must tell besides.
NAMES = """pid uptime time version pointer_size rusage_user rusage_system curr_connections total_connections bytes_read
    bytes_written limit_maxbytes threads bytes evictions get_expired""".split()


def shown(value):
    if isinstance(value, bytes) and len(value) > 100:
        return f"{value[:16]!r}… {len(value)} bytes, sha1 {hashlib.sha1(value).hexdigest()}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{shown(k)}: {shown(v)}" for k, v in sorted(value.items())) + "}"
    if isinstance(value, tuple):
        return "(" + ", ".join(shown(v) for v in value) + ")"
    return repr(value)


def call(client, method, *arguments, **keywords):
    """Calls a method of the client and prints what it returned, or the exception that it raised."""
    words = [shown(a) for a in arguments] + [f"{k}={shown(v)}" for k, v in keywords.items()]
    try:
        result = getattr(client, method)(*arguments, **keywords)
        print(f"{method}({', '.join(words)}) -> {shown(result)}")
        return result
    except Exception as error:  # whatever it raises is what we compare
        print(f"{method}({', '.join(words)}) raised {type(error).__name__}: {shown(error.args)}")
        return None


def section(title):
    print(f"\n== {title}")


def storage(client):
    section("set, get, add, replace, append, prepend")
    call(client, "get", "a")
    call(client, "get", "a", default="none")
    call(client, "set", "a", "1", noreply=False)
    call(client, "get", "a")
    call(client, "add", "a", "2", noreply=False)
    call(client, "add", "b", "2", noreply=False)
    call(client, "replace", "c", "3", noreply=False)
    call(client, "replace", "b", "22", noreply=False)
    call(client, "append", "c", "3", noreply=False)
    call(client, "append", "b", "-end", noreply=False)
    call(client, "prepend", "c", "3", noreply=False)
    call(client, "prepend", "b", "start-", noreply=False)
    call(client, "get", "b")
    call(client, "get_many", ["a", "b", "c"])
    call(client, "get_multi", ["c"])
    call(client, "set", "flags", "x", flags=12345, noreply=False)
    call(client, "get", "flags")

    section("the same without an answer")
    call(client, "set", "n", "1")
    call(client, "get", "n")
    call(client, "add", "n", "2", noreply=True)
    call(client, "add", "n2", "2", noreply=True)
    call(client, "replace", "n", "3", noreply=True)
    call(client, "append", "n", "4", noreply=True)
    call(client, "prepend", "n", "0", noreply=True)
    call(client, "get_many", ["n", "n2"])
    call(client, "delete", "n", noreply=True)
    call(client, "get", "n")

    section("many at once")
    call(client, "set_many", {f"many{i}": f"value {i}" for i in range(50)}, noreply=False)
    call(client, "set_multi", {f"quiet{i}": f"value {i}" for i in range(50)}, noreply=True)
    call(client, "get_many", [f"many{i}" for i in range(0, 60, 7)])
    call(client, "gets_many", ["nothing"])
    print(sorted(client.gets_many(["many1", "many2"])))
    call(client, "delete_many", [f"many{i}" for i in range(0, 60, 2)], noreply=False)
    call(client, "delete_multi", [f"quiet{i}" for i in range(0, 60, 2)], noreply=True)
    call(client, "get_many", [f"many{i}" for i in range(5)] + [f"quiet{i}" for i in range(5)])


def cas(client):
    section("cas")
    call(client, "gets", "cas")
    call(client, "set", "cas", "one", noreply=False)
    value, number = client.gets("cas")
    print(value, number.isdigit())
    for what, key, new, by in [
        ("right", "cas", "two", number), ("stale", "cas", "three", number), ("missing", "cas0", "x", number),
    ]:
        print(what, client.cas(key, new, by), client.get(key))
    value, number = client.gets("cas")
    print("noreply", client.cas("cas", "four", number, noreply=True), client.get("cas"))
    value, number = client.gets("cas")
    client.touch("cas", 100, noreply=False)
    print("after touch", client.cas("cas", "five", number), client.get("cas"))
    value, number = client.gets("cas")
    client.append("cas", "+", noreply=False)
    print("after append", client.cas("cas", "six", number), client.get("cas"))
    client.set("count", "1", noreply=False)
    value, number = client.gets("count")
    client.incr("count", 1)
    print("after incr", client.cas("count", "6", number), client.get("count"))
    first, second = client.gets("cas")[1], client.gets("count")[1]
    print("distinct", first != second)


def numbers(client):
    section("incr, decr")
    call(client, "incr", "number", 1)
    call(client, "set", "number", "10", noreply=False)
    call(client, "incr", "number", 5)
    call(client, "decr", "number", 7)
    call(client, "decr", "number", 100)
    call(client, "set", "number", "18446744073709551615", noreply=False)
    call(client, "incr", "number", 2)
    call(client, "set", "number", "word", noreply=False)
    call(client, "incr", "number", 1)
    call(client, "decr", "number", 1)
    call(client, "set", "number", "99", noreply=False)
    call(client, "incr", "number", 1, noreply=True)
    call(client, "decr", "number", 1, noreply=True)
    call(client, "get", "number")
    call(client, "incr", "number", -1)
    call(client, "incr", "number", 1 << 64)
    call(client, "incr", "number", "x")
    call(client, "get", "number")


def binary(client):
    section("values of any bytes")
    values = {
        "empty": b"", "zero": b"\0", "line": b"\r\n", "lines": b"a\r\nb\r\n\r\n",
        "end": b"END\r\n", "value": b"VALUE x 0 1\r\n",
        "all": bytes(range(256)), "zeros": b"\0" * 5000, "high": b"\xff\xfe\x80",
    }
    for name, value in values.items():
        call(client, "set", name, value, noreply=False)
        call(client, "get", name)
        call(client, "append", name, b"\r\n\0", noreply=False)
        call(client, "get", name)
    call(client, "get_many", list(values))

    section("large values")
    pattern = bytes(range(251))
    for size in [1000, 10_000, 100_000, 500_000, 524_288, 1_000_000, 1_040_000]:
        value = (pattern * (size // 251 + 1))[:size]
        call(client, "set", f"large{size}", value, noreply=False)
        print("the same", client.get(f"large{size}") == value)
    call(client, "get_many", ["large1000000", "large500000", "large1040000"])
    for size in [1_048_576, 1_048_577, 2_000_000, 5_000_000]:
        call(client, "set", "toolarge", pattern * (size // 251 + 1), noreply=False)
        call(client, "get", "toolarge")
    call(client, "append", "large1000000", b"x" * 100_000, noreply=False)
    print(len(client.get("large1000000")))
    call(client, "set", "large1000000", b"small again", noreply=False)
    call(client, "get", "large1000000")

    section("keys")
    for key in ["k" * 250, "k" * 251, "with blank", "with\r\nline", "", "é", "\x01"]:
        call(client, "set", key, "x", noreply=False)
        call(client, "get", key)
    wide = Client(SERVER, allow_unicode_keys=True, timeout=10)
    call(wide, "set", "é€😀", "wide", noreply=False)
    call(wide, "get", "é€😀")
    prefixed = Client(SERVER, key_prefix=b"prefix:", timeout=10)
    call(prefixed, "set", "a", "prefixed", noreply=False)
    call(prefixed, "get_many", ["a", "b"])
    call(client, "get", "prefix:a")
    objects = Client(SERVER, serde=pickle_serde, timeout=10)
    call(objects, "set", "object", {"list": [1, 2.5, None, "text"], "bytes": b"\0\r\n"}, noreply=False)
    call(objects, "get", "object")
    call(objects, "set", "integer", 42, noreply=False)
    call(objects, "get_many", ["object", "integer"])


def expiry(client):
    section("expiry")
    call(client, "set", "short", "x", expire=2, noreply=False)
    call(client, "set", "touched", "x", expire=2, noreply=False)
    call(client, "touch", "touched", 100, noreply=False)
    call(client, "set", "long", "x", expire=100, noreply=False)
    call(client, "touch", "long", 2, noreply=False)
    client.set("absolute", "x", expire=int(time.time()) + 100)
    call(client, "set", "quiet", "x", expire=2)
    print("in the past", client.set("past", "x", expire=int(time.time()) - 100, noreply=False))
    call(client, "get", "past")
    call(client, "set", "negative", "x", expire=-1, noreply=False)
    call(client, "get", "negative")
    call(client, "touch", "missing", 10, noreply=False)
    call(client, "touch", "absolute", 50, noreply=True)
    call(client, "get_many", ["short", "touched", "long", "absolute", "quiet"])
    time.sleep(3.3)
    call(client, "get_many", ["short", "touched", "long", "absolute", "quiet"])
    call(client, "add", "short", "y", noreply=False)
    call(client, "incr", "long", 1)


def shared():
    section("a pool of connections, from eight threads")
    pool = PooledClient(SERVER, max_pool_size=8, timeout=20)
    pool.set("shared", "0", noreply=False)
    wrong = []

    def work(number):
        for i in range(100):
            key, value = f"t{number}-{i % 10}", f"{number}-{i}".encode() * (i + 1)
            try:
                pool.incr("shared", 1)
                pool.set(key, value, noreply=False)
                if pool.get(key) != value:
                    wrong.append((key, i))
            except Exception as error:
                wrong.append((key, i, repr(error)))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(sorted(wrong), pool.get("shared"))
    retrying = RetryingClient(Client(SERVER, timeout=10), attempts=3)
    print(retrying.set("retried", "x", noreply=False), retrying.get("retried"))


def flush_and_stats(client):
    section("version, quit")
    print(type(client.version()).__name__, client.version()[:1].isdigit())
    other = Client(SERVER, timeout=10)
    other.set("q", "1", noreply=False)
    call(other, "quit")
    call(other, "get", "q")

    section("stats")
    before = client.stats()
    missing = [n for n in COUNTERS + NAMES if n.encode() not in before]
    print("missing", missing)
    for i in range(10):
        client.set(f"s{i}", str(i), noreply=False)
        client.get(f"s{i % 7}")
        client.get(f"nothing{i}")
    client.get_many([f"s{i}" for i in range(20)])
    for key in ["s1", "nothing"]:
        client.incr(key, 1)
        client.decr(key, 1)
        client.touch(key, 0, noreply=False)
    client.cas("s1", "x", client.gets("s1")[1])
    client.cas("s1", "x", b"1")
    client.cas("nothing", "x", b"1")
    for key in ["s9", "nothing"]:
        client.delete(key, noreply=False)
    for key in ["s1", "nothing"]:
        client.append(key, "x", noreply=False)
    client.add("s1", "x", noreply=False)
    client.replace("nothing", "x", noreply=False)
    after = client.stats()
    for name in COUNTERS:
        name = name.encode()
        if name in before and name in after:
            print(name.decode(), "grew by", int(after[name]) - int(before[name]))
    print("limit", after.get(b"limit_maxbytes"), "threads", after.get(b"threads"), "bytes", int(after[b"bytes"]) > 0)
    slabs = client.stats("slabs")
    print("slabs", b"active_slabs" in slabs, b"total_malloced" in slabs, any(b":chunk_size" in n for n in slabs))
    call(client, "stats", "nonsense")

    section("flush_all")
    call(client, "flush_all", noreply=False)
    call(client, "get_many", [f"s{i}" for i in range(10)])
    call(client, "set", "fresh", "x", noreply=False)
    call(client, "get", "fresh")
    call(client, "flush_all", noreply=True)
    call(client, "get", "fresh")
    call(client, "set", "fresh", "y", noreply=False)
    call(client, "flush_all", delay=2, noreply=False)
    call(client, "get", "fresh")
    time.sleep(3.3)
    call(client, "get", "fresh")


def main():
    client = Client(SERVER, connect_timeout=10, timeout=20)
    for part in [storage, cas, numbers, binary, expiry]:
        part(client)
    shared()
    flush_and_stats(client)


main()

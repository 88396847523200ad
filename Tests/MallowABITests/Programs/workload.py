# What Python programs do with memory, printed so that two runs can be compared: JSON, regular expressions, dictionaries
# that grow and shrink, threads, cyclic garbage, compression, big integers, and other processes.

import collections
import gc
import hashlib
import json
import re
import subprocess
import sys
import threading
import zlib


def digest(value):
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def documents():
    rows = [{"id": i, "name": f"row {i}", "tags": ["t%d" % (i * k % 97) for k in range(i % 7)],
             "nested": {"x": i / 3, "y": [i, str(i) * (i % 30)]}} for i in range(20000)]
    text = json.dumps(rows, indent=1)
    assert json.loads(text) == rows
    return len(text), digest(text)


def expressions():
    text = " ".join("word%d <user%d@host%d.example>" % (i, i % 500, i % 37) for i in range(30000))
    found = re.findall(r"<(\w+)@(host\d+)\.example>", text)
    counts = collections.Counter(host for _, host in found)
    swapped = re.sub(r"word(\d+)", lambda match: match.group(1)[::-1], text)
    return sorted(counts.items())[:5], digest(swapped)


def churn(seed, results):
    table, state = {}, seed
    for step in range(150000):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2 ** 64
        key = state >> 50
        if state & 3 == 0:
            table.pop(key, None)
        else:
            table[key] = (str(state), [step] * (key % 20), bytes(key % 300))
    results[seed] = digest(sorted((key, value[0], len(value[1])) for key, value in table.items()))


def threads():
    results = {}
    workers = [threading.Thread(target=churn, args=(seed, results)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sorted(results.items())


class Node:
    def __init__(self, other):
        self.other = other
        self.payload = bytearray(200)


def garbage():
    for _ in range(50000):
        first = Node(None)
        first.other = Node(first)
    return gc.collect() >= 0 and len([o for o in gc.get_objects() if isinstance(o, Node)])


def compression():
    data = b"".join(b"%d:%s;" % (i, b"x" * (i % 50)) for i in range(60000))
    packed = [zlib.compress(data, level) for level in range(1, 10, 4)]
    assert all(zlib.decompress(each) == data for each in packed)
    return [len(each) for each in packed]


def processes():
    script = "import sys; print(sum(len(str(i) * 10) for i in range(int(sys.argv[1]))))"
    return [subprocess.run([sys.executable, "-c", script, str(n)], capture_output=True, check=True).stdout
            for n in (1000, 5000, 20000)]


print(documents())
print(expressions())
print(threads())
print(garbage())
print(compression())
print(processes())
print(digest(hex(3 ** 60000 // 7 ** 12345)))
print(digest(sorted(str(i * 7919 % 100003) for i in range(200000))))
sys.exit(3)

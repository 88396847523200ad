"""One run: a server on one malloc, the phases of wrk against it, its resident memory all the while."""

import json
import os
import re
import subprocess
import threading
import time

from server import Server

SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "wrk")
SAMPLE_SECONDS = 0.1
IDLE_SECONDS = 5

# Name, script, connections, how long as a share of --seconds, how many times with a second between.
PHASES = [
    ("reads", "reads.lua", 32, 1.0, 1),
    ("writes", "writes.lua", 32, 1.0, 1),
    ("mixed", "mixed.lua", 32, 1.0, 1),
    ("large", "large.lua", 8, 1.0, 1),
    ("bursts", "burst.lua", 256, 0.4, 3),
]


class MemorySampler:
    """Resident memory ten times a second, each sample with the phase that was on."""

    def __init__(self, server):
        self.server = server
        self.phase = "start"
        self.start = time.monotonic()
        self.samples = []
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        due = self.start
        while not self.is_over.wait(max(0, due - time.monotonic())):
            self.sample()
            due += SAMPLE_SECONDS

    def sample(self):
        resident, proportional = self.server.memory()
        now = round(time.monotonic() - self.start, 3)
        self.samples.append({"seconds": now, "phase": self.phase, "rss": resident, "pss": proportional})
        return resident

    def stop(self):
        self.is_over.set()
        self.thread.join()


def wrk(server, script, connections, seconds, prefix):
    """What one run of wrk has to say: a dictionary, as common.lua prints it."""
    first, last = settled_ids(server)
    # wrk wants whole seconds.
    whole = max(1, round(seconds))
    run = subprocess.run(
        [*prefix, "wrk", "-t1", f"-c{connections}", f"-d{whole}s", "--timeout", "30s", "-s", script, server.url, "--",
         str(first), str(last)],
        cwd=SCRIPTS, capture_output=True, text=True, timeout=whole + 120)
    found = re.search(r"^RESULT (.*)$", run.stdout, re.MULTILINE)
    if run.returncode != 0 or not found:
        raise AssertionError(f"wrk {script}: status {run.returncode}: {run.stdout}{run.stderr}")
    result = json.loads(found[1])
    if any(result[kind] for kind in ("connect", "read", "write", "status", "timeout")):
        raise AssertionError(f"wrk {script}: requests failed: {result}")
    return result


def settled_ids(server):
    """`held_ids` once they are the same for a while: what the last run of wrk had sent when it ended is served yet."""
    found, unchanged = held_ids(server), 0
    while unchanged < 5:
        time.sleep(0.05)
        now = held_ids(server)
        found, unchanged = now, unchanged + 1 if now == found else 0
    return found


def held_ids(server):
    """The first and the last id of the catalogue."""
    _, body = server.request("GET", "/products?limit=1")
    first = json.loads(body)["products"][0]["id"]
    _, body = server.request("GET", "/metrics")
    count = int(re.search(rb"^catalogue_products (\d+)$", body, re.MULTILINE)[1])
    return first, first + count - 1


def measure(malloc, command, options):
    """Start, warm up, all phases, idle, stop: a dictionary for the report."""
    server_prefix, client_prefix = pinning(options.pin)
    server = Server(
        [*(malloc.command or command), "--threads", str(options.threads)], malloc.environment, server_prefix)
    sampler = None
    try:
        if malloc.library and not server.has_loaded(malloc.library):
            raise AssertionError(f"{malloc.name}: {malloc.library} was not loaded into the server")
        server.request("PUT", "/images/measured", os.urandom(1 << 20))
        sampler = MemorySampler(server)
        sampler.phase = "warm-up"
        wrk(server, "mixed.lua", 8, 1, client_prefix)
        phases = {}
        for name, script, connections, share, times in PHASES:
            sampler.phase = name
            results, processor = [], server.processor_seconds()
            for number in range(times):
                if number:
                    time.sleep(1)
                results.append(wrk(server, script, connections, share * options.seconds, client_prefix))
            requests = sum(result["requests"] for result in results)
            phases[name] = {
                "requests per second": requests / (sum(result["microseconds"] for result in results) / 1e6),
                "p50 ms": max(result["p50"] for result in results) / 1e3,
                "p99 ms": max(result["p99"] for result in results) / 1e3,
                "processor us per request": (server.processor_seconds() - processor) / requests * 1e6,
            }
        sampler.phase = "idle"
        after = sampler.sample()
        time.sleep(IDLE_SECONDS)
        idle = sampler.sample()
        sampler.stop()
        server.stop()
    except BaseException:
        if sampler:
            sampler.stop()
        if server.process.poll() is None:
            server.kill()
        raise
    during = [sample["rss"] for sample in sampler.samples if sample["phase"] in phases]
    mebibyte = 1 << 20
    return {
        "phases": phases,
        "mean MiB": sum(during) / len(during) / mebibyte, "peak MiB": max(during) / mebibyte,
        "after MiB": after / mebibyte, "idle MiB": idle / mebibyte, "samples": sampler.samples,
    }


def pinning(is_pinned):
    """The commands that start the server and wrk each on a processor of its own."""
    processors = sorted(os.sched_getaffinity(0))
    if not is_pinned or len(processors) < 2:
        return (), ()
    return ("taskset", "-c", str(processors[0])), ("taskset", "-c", ",".join(map(str, processors[1:])))

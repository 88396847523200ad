"""A server of this example in a process of its own: started on a free port, looked at from outside, stopped."""

import http.client
import os
import re
import selectors
import signal
import subprocess
import tempfile
import time


class Server:
    def __init__(self, command, environment=None, prefix=()):
        """Starts it and waits until it says where it listens. `prefix` is a command that starts others, as taskset."""
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [*prefix, *command, "--port", "0"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})})
        self.errors = b""
        try:
            self.port = int(self._wait_for(rb"^listening on .*:(\d+)$"))
        except BaseException:
            self.kill()
            raise

    def _wait_for(self, pattern, patience=30):
        selector = selectors.DefaultSelector()
        selector.register(self.process.stderr, selectors.EVENT_READ)
        end = time.monotonic() + patience
        while not (found := re.search(pattern, self.errors, re.MULTILINE)):
            if not selector.select(max(0, end - time.monotonic())):
                raise AssertionError(f"the server did not start in {patience} s: {self.errors.decode()}")
            piece = os.read(self.process.stderr.fileno(), 1 << 16)
            if not piece:
                raise AssertionError(f"the server did not start: {self.errors.decode()}")
            self.errors += piece
        return found[1]

    @property
    def pid(self):
        return self.process.pid

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def has_loaded(self, library):
        """Whether this file is mapped: a library that can't be preloaded is no error for the loader."""
        with open(f"/proc/{self.pid}/maps") as maps:
            return os.path.realpath(library) in maps.read()

    def memory(self):
        """Resident bytes, and those that are its share of what others have mapped, too (pages exactly counted)."""
        found = {}
        with open(f"/proc/{self.pid}/smaps_rollup") as rollup:
            for line in rollup:
                name, _, value = line.partition(":")
                if name in ("Rss", "Pss"):
                    found[name] = int(value.split()[0]) << 10
        return found["Rss"], found["Pss"]

    def processor_seconds(self):
        # The kernel's number of a process's processor clock, as clock_getcpuclockid(3) makes it.
        return time.clock_gettime((~self.pid << 3) | 2)

    def request(self, method, path, body=None, headers=None):
        """One request on a connection of its own: the response, and its body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def stop(self, patience=20):
        """SIGTERM; what it has said on standard error since the start. It must end by itself and with status 0."""
        self.process.send_signal(signal.SIGTERM)
        try:
            _, rest = self.process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server did not stop within {patience} s of SIGTERM") from None
        errors = (self.errors + rest).decode()
        if self.process.returncode != 0:
            raise AssertionError(f"the server stopped with status {self.process.returncode}: {errors}")
        return errors

    def kill(self):
        self.process.kill()
        self.process.communicate()

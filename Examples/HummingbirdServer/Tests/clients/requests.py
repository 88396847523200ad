#!/usr/bin/env python3
"""Every endpoint of the server, over HTTP: answers, refusals, large bodies, curl, and a stop in the middle of it all.

    Tests/clients/requests.py SERVER

Ends with status 1 at the first answer that is wrong. Nothing depends on time."""

import concurrent.futures
import json
import os
import random
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "Load"))

from server import Server  # noqa: E402

DRAFT = {
    "name": "Copper kettle, écru", "summary": "Boils.", "price": 4200, "tags": ["kitchen"],
    "attributes": {"colour": "red"},
}


def check(server, method, path, status, body=None, headers=None):
    """The answer's body (as JSON where it is that), and its headers."""
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
    response, answer = server.request(method, path, body, headers)
    assert response.status == status, f"{method} {path}: {response.status}, not {status}: {answer[:500]}"
    assert response.headers["X-Request-Id"], f"{method} {path}: no id"
    if (response.headers["Content-Type"] or "").startswith("application/json"):
        answer = json.loads(answer)
    return answer, response.headers


def products(server):
    created, headers = check(server, "POST", "/products", 201, DRAFT)
    path = f"/products/{created['id']}"
    assert headers["Location"] == path and {name: created[name] for name in DRAFT} == DRAFT
    assert check(server, "GET", path, 200)[0] == created

    reviewed, _ = check(server, "POST", f"{path}/reviews", 201, {"author": "A", "stars": 5, "text": "Good."})
    assert reviewed["reviews"] == [{"author": "A", "stars": 5, "text": "Good."}]
    replaced, _ = check(server, "PUT", path, 200, {**DRAFT, "name": "Zeppelin model"})
    assert replaced["name"] == "Zeppelin model" and replaced["reviews"] == reviewed["reviews"]
    found, _ = check(server, "GET", "/search?q=ZEPPELIN", 200)
    assert found["query"] == "ZEPPELIN" and [product["id"] for product in found["products"]] == [created["id"]]
    check(server, "DELETE", path, 204)
    for method, body in [("GET", None), ("DELETE", None), ("PUT", DRAFT)]:
        check(server, method, path, 404, body)
    assert check(server, "GET", "/search?q=zeppelin", 200)[0]["products"] == []


def lists(server):
    exported, _ = check(server, "GET", "/products/export", 200)
    listed, after = [], 0
    while after is not None:
        page, _ = check(server, "GET", f"/products?limit=70&after={after}", 200)
        listed += page["products"]
        after = page.get("next")
    assert listed == exported and len(listed) > 100
    # The catalogue is full: what is imported takes the place of the oldest.
    answer, _ = check(server, "POST", "/products/import", 200, [DRAFT] * 30)
    assert answer == {"created": 30}
    assert [product["id"] for product in check(server, "GET", "/products/export", 200)[0]][:-30] == [
        product["id"] for product in exported[-170:]]


def refusals(server):
    for path in ["/products/abc", "/products?limit=0", "/products?limit=1001", "/products?after=-1", "/search"]:
        check(server, "GET", path, 400)
    check(server, "GET", "/nothing", 404)
    for body in ["", "{", "[]", json.dumps({"name": "x"}), json.dumps({**DRAFT, "price": "much"})]:
        check(server, "POST", "/products", 400, body)
    answer, _ = check(server, "POST", "/products", 422, {**DRAFT, "name": ""})
    assert "name" in answer["error"]["message"]
    check(server, "POST", "/products/import", 422, [DRAFT, {**DRAFT, "price": -1}])
    check(server, "GET", "/images/none", 404)
    # Beyond --body-limit and --image-limit, which are 2 and 4 MiB here.
    check(server, "POST", "/bodies", 413, bytes((2 << 20) + 1))
    assert check(server, "GET", "/health", 200, headers={"X-Request-Id": "mine"})[1]["X-Request-Id"] == "mine"
    # What is not HTTP at all ends that connection alone.
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"\x16\x03\x01 no request\r\n\r\n")
        while connection.recv(1 << 16):
            pass


def large_bodies(server):
    body = random.Random(1).randbytes(2 << 20)
    assert check(server, "POST", "/bodies", 200, body)[0] == body
    # Less than what sockets hold: this client sends all of it before it reads.
    small = body[: 256 << 10]
    assert check(server, "POST", "/bodies/stream", 200, small)[0] == small
    # Without a length: in chunks.
    pieces = (small[start : start + 10_000] for start in range(0, len(small), 10_000))
    assert check(server, "POST", "/bodies/stream", 200, pieces)[0] == small
    assert check(server, "GET", "/bodies/1000001", 200)[0] == b"x" * 1_000_001
    # Three of 1.5 MiB, where 4 MiB are kept: the first goes.
    for name in "abc":
        check(server, "PUT", f"/images/{name}", 201, name.encode() + body[: 3 << 19])
    check(server, "GET", "/images/a", 404)
    for name in "bc":
        assert check(server, "GET", f"/images/{name}", 200)[0] == name.encode() + body[: 3 << 19]


def curl(server):
    """A client that others have written: a body that comes back while it is sent, requests on one connection."""
    body = random.Random(2).randbytes(24 << 20)
    # By its length, and in chunks.
    for options in (["--data-binary", "@-"], ["-X", "POST", "-T", "-"]):
        run = subprocess.run(
            ["curl", "-sS", "--fail", "-H", "Expect:", *options, f"{server.url}/bodies/stream"], input=body,
            capture_output=True, timeout=60, check=True)
        assert run.stdout == body, (options, len(run.stdout))
    run = subprocess.run(
        ["curl", "-sS", "--fail", "-w", "%{num_connects}"] + [f"{server.url}/health"] * 3, capture_output=True,
        timeout=60, check=True)
    assert run.stdout == b"OK\n1OK\n0OK\n0", run.stdout


def at_once(server):
    """Eight clients: each finds what it has made."""

    def client(number):
        for step in range(20):
            name = f"client{number} step{step}"
            created, _ = check(server, "POST", "/products", 201, {**DRAFT, "name": name})
            assert check(server, "GET", f"/products/{created['id']}", 200)[0]["name"] == name
            found, _ = check(server, "GET", f"/search?q=client{number}+step{step}", 200)
            assert [product["name"] for product in found["products"]] == [name]
            body = bytes([number]) * (10_000 * step)
            assert check(server, "POST", "/bodies", 200, body)[0] == body

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(client, range(8)))


def metrics(server):
    before, _ = check(server, "GET", "/metrics", 200)
    for _ in range(5):
        check(server, "GET", "/products/999999", 404)
    after, _ = check(server, "GET", "/metrics", 200)

    def count(text):
        name = 'http_requests_total{endpoint="GET /products/{id}",status="404"} '
        return sum(int(line[len(name) :]) for line in text.decode().splitlines() if line.startswith(name))

    assert count(after) == count(before) + 5
    assert "catalogue_products 200" in after.decode().splitlines()


def wrong_options(command):
    for options in (["--port", "70000"], ["--products", "5", "--capacity", "4"], ["--log-level", "loud"], ["--what"]):
        run = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60)
        assert run.returncode != 0 and "Error:" in run.stderr, (options, run)


def main():
    command = sys.argv[1:]
    wrong_options(command)
    server = Server([*command, "--products", "200", "--capacity", "200", "--body-limit", "2", "--image-limit", "4"])
    try:
        for step in (products, lists, refusals, large_bodies, curl, at_once, metrics):
            step(server)
            print(f"{step.__name__.replace('_', ' ')}: as it should be")
        run = subprocess.run([*command, "--port", str(server.port)], capture_output=True, text=True, timeout=60)
        assert run.returncode == 1 and f"127.0.0.1:{server.port}:" in run.stderr, run
        # Somebody is connected and says nothing.
        with socket.create_connection(("127.0.0.1", server.port)):
            assert server.stop().rstrip().endswith("stopped")
        print("options and stopping: as they should be")
    except BaseException:
        if server.process.poll() is None:
            server.kill()
        raise


if __name__ == "__main__":
    main()

"""A search service under load: latencies, errors and memory.

The service runs in a process of its own, on the demo collection and the embedded model. Clients,
each with an address of its own (127.0.1.1 and on, as Linux has them), ask one question after
another in seven languages, most of them /search, some /explain and the page. One more client asks
faster than the rate limit allows, so some of its answers must be 429. Nothing else may be refused.

Prints a table of latencies by path, the answers by status, and resident memory before and after.
"""

import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser, Namespace
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

LANGUAGES = "de fi fr mr so sw tl".split()
_GREEDY = "greedy"
_MIX = (("/search", 0.80), ("/explain", 0.15), ("/", 0.05))
_CONNECTIONS, _PAUSE = 40, 0.05
"""Of the client that asks too often: twice as many as it may ask at once, and seconds between two
questions on each."""


class Answer(NamedTuple):
    """An answered request; status 0 is none at all."""

    client: str
    path: str
    status: int
    seconds: float


class Client:
    """A connection that is kept, with an address of its own."""

    def __init__(self, name: str, address: str, port: int, seed: int) -> None:
        self.name, self.address, self.port = name, address, port
        self.random = random.Random(seed)
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, questions: list[tuple[str, str]]) -> Answer:
        """Ask one question and wait for the answer."""
        paths, weights = zip(*_MIX, strict=True)
        path = "/search" if self.name == _GREEDY else self.random.choices(paths, weights)[0]
        lang, query = self.random.choice(questions)
        start = time.perf_counter()
        try:
            status = await self._send(path, lang, query)
        except (OSError, EOFError, ValueError):
            status, self.streams = 0, None
        return Answer(self.name, path, status, time.perf_counter() - start)

    async def _send(self, path: str, lang: str, query: str) -> int:
        if self.streams is None:
            local = (self.address, 0)
            self.streams = await asyncio.open_connection("127.0.0.1", self.port, local_addr=local)
        reader, writer = self.streams
        if path == "/":
            head, body = f"GET /?{urlencode({'q': query, 'lang': lang})}", b""
        else:
            head, body = f"POST {path}", json.dumps({"query": query, "lang": lang}).encode()
        lines = (
            f"{head} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        writer.write(lines.encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(answer.partition("content-length: ")[2].split("\r\n")[0])
        await reader.readexactly(length)
        if "connection: close" in answer:
            writer.close()
            self.streams = None
        return int(answer.split()[1])


async def drive(port: int, n_clients: int, seconds: float) -> list[Answer]:
    """Let all clients ask until the time is over."""
    from optical_ir.collections import load_collection

    questions = [
        (lang, query.text)
        for lang in LANGUAGES
        for query in load_collection("demo", topics=lang).iter_queries()
    ]
    clients = [Client(str(n), f"127.0.1.{n}", port, n) for n in range(1, n_clients + 1)]
    clients += [Client(_GREEDY, "127.0.2.1", port, -n) for n in range(1, _CONNECTIONS + 1)]
    end, answers = time.perf_counter() + seconds, []

    async def go_on(client: Client) -> None:
        while time.perf_counter() < end:
            answers.append(await client.ask(questions))
            if client.name == _GREEDY:
                await asyncio.sleep(_PAUSE)

    await asyncio.gather(*map(go_on, clients))
    return answers


def start_service(folder: Path, port: int, options: Namespace) -> "subprocess.Popen[bytes]":
    """Index the demo collection with the embedded model, if it is not yet, and serve it."""
    program = [sys.executable, "-m", "optical_ir"]
    if not (folder / "index").exists():
        command = ("encode", "--collection", "demo", "--encoder", "embedded")
        subprocess.run([*program, *command, "--output", str(folder / "index")], check=True)
    encoders = [part for lang in LANGUAGES for part in ("--encoder", f"{lang}=embedded")]
    command = ("serve", "--index", str(folder / "index"), *encoders, "--port", str(port))
    limits = ("--queue", str(options.clients + _CONNECTIONS), "--timeout", "60")
    workers = ("--workers", str(options.workers)) if options.workers else ()
    return subprocess.Popen([*program, *command, *limits, *workers])


def wait_until_ready(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Ask for the service's health until it is good."""
    while True:
        if process.poll() is not None:
            raise SystemExit("The service ended.")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health").close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
        else:
            return


def megabytes(process: "subprocess.Popen[bytes]", key: str) -> float:
    """Memory of a process as Linux counts it: VmRSS now, VmHWM at most."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition(f"{key}:")[2].split()[0]) / 1024


def processor_seconds(process: "subprocess.Popen[bytes]") -> float:
    """Processor time that a process has had."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def print_latencies(answers: list[Answer], seconds: float) -> None:
    """Print the table of latencies of the clients that keep to the limits."""
    times = defaultdict(list)
    for answer in answers:
        if answer.client != _GREEDY and answer.status == 200:
            for path in (answer.path, "all"):
                times[path].append(1000 * answer.seconds)
    print(f"{'path':<10}{'answers':>9}{'a second':>10}" + "".join(f"{p:>9}" for p in _COLUMNS))
    for path, found in sorted(times.items()):
        found.sort()
        row = [found[min(len(found) - 1, int(len(found) * part))] for part in (0.5, 0.95, 0.99, 1)]
        cells = "".join(f"{value:>9.0f}" for value in row)
        print(f"{path:<10}{len(found):>9}{len(found) / seconds:>10.1f}{cells}")


_COLUMNS = ("p50 ms", "p95 ms", "p99 ms", "max ms")


def print_statuses(answers: list[Answer]) -> bool:
    """Print the answers by status; give whether only the greedy client was refused."""
    polite = Counter(answer.status for answer in answers if answer.client != _GREEDY)
    greedy = Counter(answer.status for answer in answers if answer.client == _GREEDY)
    for name, counts in (("clients", polite), ("greedy client", greedy)):
        print(f"{name}: " + ", ".join(f"{n} of status {s}" for s, n in sorted(counts.items())))
    return set(polite) == {200} and set(greedy) == {200, 429}


def main() -> None:
    """Start the service, drive it, stop it, and print what came of it."""
    parser = ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--clients", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=60, help="default: %(default)s")
    parser.add_argument("--workers", type=int, help="default: one a processor")
    parser.add_argument("--folder", type=Path, help="keep the index here; default: a temporary one")
    options = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as temporary:
        process = start_service(options.folder or Path(temporary), port, options)
        try:
            wait_until_ready(process, port)
            asyncio.run(drive(port, options.clients, 5))
            before, load = megabytes(process, "VmRSS"), os.getloadavg()[0]
            start = processor_seconds(process)
            answers = asyncio.run(drive(port, options.clients, options.seconds))
            used = processor_seconds(process) - start
            after, most = megabytes(process, "VmRSS"), megabytes(process, "VmHWM")
        finally:
            process.terminate()
            code = process.wait()
    print(f"{options.clients} clients, {options.seconds:g} seconds, {os.cpu_count()} processors,")
    print(f"load average before {load:.1f}; first 5 seconds not counted\n")
    print_latencies(answers, options.seconds)
    n_answers = sum(answer.status == 200 for answer in answers)
    each, share = 1000 * used / n_answers, 100 * used / options.seconds / (os.cpu_count() or 1)
    print(f"processor time: {each:.0f} ms an answer; the service had {share:.0f} % of the machine")
    is_clean = print_statuses(answers) and code == 0
    print(f"memory: {before:.0f} MB before, {after:.0f} MB after, {most:.0f} MB at most")
    print(f"the service ended with {code}; {'no' if is_clean else 'SOME'} errors")
    sys.exit(not is_clean)


if __name__ == "__main__":
    main()

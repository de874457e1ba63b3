"""A real process: it says when it is ready, and ends what is in flight when told to stop."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.serving.conftest import wait_until

QUERY = {"query": "paka mweusi", "lang": "sw", "k": 3}


def health(address: str) -> int | None:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as err:
        with err:
            return err.code
    except OSError:
        return None


@pytest.fixture
def start(served, tmp_path):
    """Start the verb in a process of its own on a free port; give process and port."""
    running = []

    def run(*arguments: object) -> tuple[subprocess.Popen, int]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [
            *(sys.executable, "-m", "optical_ir", "serve", "--index", served / "index"),
            *("--encoder", f"sw={served / 'sw'}", "--port", port, *arguments),
        ]
        log = (tmp_path / "log").open("wb")
        process = subprocess.Popen(
            list(map(str, command)),
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)},
            cwd=Path(__file__).resolve().parents[2],
        )
        log.close()
        running.append(process)
        return process, port

    yield run
    for process in running:
        process.kill()
        process.wait()


def test_ready_when_warm_and_done_when_what_is_in_flight_is(start, tmp_path):
    process, port = start()
    address, seen = f"http://127.0.0.1:{port}", []

    def is_ready() -> bool:
        assert process.poll() is None, (tmp_path / "log").read_text()
        seen.append(health(address))
        return seen[-1] == 200

    wait_until(is_ready, 120)
    answers = [status for status in seen if status]
    assert set(answers) == {503, 200}, "it answers before it is ready"
    body = json.dumps(QUERY).encode()
    head = f"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as flight:
        flight.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body[:5])
        wait_until(lambda: in_flight(address) == 2)
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: health(address) is None)
        assert process.poll() is None, "it waits for the rest"
        flight.sendall(body[5:])
        answer = b""
        while part := flight.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert len(json.loads(answer.partition(b"\r\n\r\n")[2])["hits"]) == 3
    assert process.wait(30) == 0
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert not list(tmp_path.glob("optical-ir-passages-*")), "temporary texts are removed"


def in_flight(address: str) -> float:
    with urllib.request.urlopen(f"{address}/metrics") as answer:
        text = answer.read().decode()
    return float(text.partition("\noptical_ir_in_flight ")[2].split("\n")[0])


def test_told_to_stop_while_loading_it_ends_with_0(start, tmp_path):
    process, port = start()
    wait_until(lambda: process.poll() is not None or health(f"http://127.0.0.1:{port}") == 503, 120)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0, (tmp_path / "log").read_text()

"""serve from the command line: what it refuses before it answers anything."""

import re
import shlex
import socket
from pathlib import Path

import pytest
import typer

from optical_ir.cli import app

PAGE = Path(__file__).resolve().parents[2] / "docs" / "serve.md"


@pytest.fixture
def serve(cli, work):
    """Run the verb with a student of the shared work, and end it by an error."""

    def run(*arguments: object) -> str:
        shared = ("serve", "--index", work / "index", "--encoder", f"swa={work / 'student-sw'}")
        return cli(*shared, "--port", free_port(), *arguments).error

    return run


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--encoder", "so"), "--encoder: expected LANG=VALUE, as sw=student-sw, found 'so'"),
        (("--encoder", "sw=other"), "--encoder: expected one for language 'sw', found two"),
        (("--encoder", "no language=other"), "expected a language code of ISO 639"),
        (("--topics", "so=x.tsv"), "--topics: expected languages that have an --encoder (sw)"),
        (("--translated-topics", "sw=x.tsv"), "expected --topics of it with the same ids"),
        (("--topics", "sw=gone.tsv"), "gone.tsv: expected a file, found none"),
        (("--host", "0.0.0.0"), "--host 0.0.0.0: expected a token, as others can reach"),
        (("--token-file", "gone"), "--token-file gone: cannot be read"),
        (("--workers", "999"), "--workers: expected at most"),
    ],
)
def test_bad_settings_are_refused_at_once(serve, monkeypatch, arguments, error):
    monkeypatch.delenv("OPTICAL_IR_TOKEN", raising=False)
    assert error in serve(*arguments)


def test_what_does_not_load_ends_the_service_and_says_why(serve, work, plain_folder, tmp_path):
    assert "belong to different teachers" in serve("--encoder", f"ar={plain_folder}")
    assert "expected a multi-vector index" in serve("--index", tmp_path)
    (tmp_path / "corpus.jsonl").write_text('{"id": "d1", "contents": "dog"}\n')
    other = serve("--collection", tmp_path)
    assert "expected the texts of all 132 documents" in other
    assert "--teacher" in serve("--teacher", plain_folder)


def test_a_port_in_use_is_refused(serve):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"expected to listen on 127.0.0.1, port {port}" in serve("--port", port)


def test_commands_of_the_page_parse():
    text = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.M))
    lines = [shlex.split(line) for line in text.replace("\\\n", " ").splitlines()]
    commands = [line[1:] for line in lines if line and line[0] == "optical-ir"]
    assert len(commands) == 3
    for name, *rest in commands:
        group = typer.main.get_command(app)
        verb = group.get_command(typer.Context(group), name)
        assert verb.make_context(name, rest).params["encoder"]

"""Malformed files: one line with file, line and remedy; nothing is written."""

import re

import pytest

ENCODINGS = [
    (b"", "expected at least one line, found an empty file"),
    (b"\xef\xbb\xbfLINE\n", r"line 1: starts with a byte order mark.*sed"),
    (b"LINE\r\n", r"line 1: ends with CR LF.*sed"),
    (b"LINE\n\xff\xfe\n", r"line 2: is not UTF-8.*iconv"),
]
LINES = {
    "topics": b"q1\tpaka na mbwa",
    "qrels": b"q1 0 a 1",
    "run": b"q1 Q0 a 1 2 x",
    "bitext.tsv": b"paka\tcat",
}
BAD = [
    *(
        (name, content.replace(b"LINE", line), message)
        for name, line in LINES.items()
        for content, message in ENCODINGS
    ),
    ("topics", b"q1 paka\n", "line 1: expected 2 tab-separated fields"),
    ("topics", b"q1\tpaka\nq1\tmbwa\n", "line 2: query id 'q1' is used twice"),
    ("topics", b"q1\t \n", "line 1: expected an id without white space and a query"),
    ("qrels", b"q1 a 1\n", "line 1: expected 4 fields .*found 3"),
    ("qrels", b"q1 0 a nan\n", "line 1: expected an integer relevance, found 'nan'"),
    ("qrels", b"q1 0 a 1\nq1 0 a 0\n", "line 2: .*judged twice. Keep one"),
    ("run", b"q1 Q0 a 1 2\n", "line 1: expected 6 fields"),
    ("run", b"q1 Q0 a 1 nan x\n", "line 1: expected a finite score, found 'nan'"),
    ("run", b"q1 Q0 a 1 2 x\nq1 Q0 a 2 1 x\n", "line 2: .*has document 'a' twice. Keep"),
    ("bitext.tsv", b"paka cat\n", "line 1: expected 2 tab-separated columns"),
    ("bitext.tsv", b"paka\t \n", "line 1: expected text on both sides"),
    ("bitext.tsv", b"paka\tcat\npaka\tcat\n", "has 1 pairs; expected at least"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD)
def test_a_bad_file_is_one_line_with_file_line_and_remedy(
    cli, plain_folder, tmp_path, name, content, message
):
    bad, output = tmp_path / name, tmp_path / "output"
    bad.write_bytes(content)
    output.write_text("old")
    (tmp_path / "fine").write_bytes(LINES["qrels" if name == "run" else "run"] + b"\n")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    commands = {
        "topics": ("search", "--index", "none", "--topics", bad, "--output", output),
        "qrels": ("evaluate", bad, tmp_path / "fine"),
        "run": ("compare", tmp_path / "fine", bad),
        "bitext.tsv": (
            *("distil", "--teacher", plain_folder, "--query-lang", "sw", "--bitext", bad),
            *("--output", output),
        ),
    }
    replace = ("--overwrite",) if "--output" in commands[name] else ()
    done = cli(*commands[name], *replace)
    assert re.search(message, done.error), done.error
    assert str(bad) in done.error or "pairs; expected" in done.error
    # The teacher is loaded, with a bar that only a fresh process can switch off, to count pairs.
    assert len(done.err.splitlines()) == 1 or "pairs; expected" in done.error
    assert done.out == ""
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

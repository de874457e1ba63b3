"""Valid inputs made invalid: by bytes, by fields of lines, by nodes of JSON, by files of a folder.

All take a `random.Random`, so that an input is named by its seed.
"""

import json
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Mutator = Callable[[bytes, random.Random], bytes]

HOSTILE = (
    *("", " ", "\t", "\x00", "\x1b[2J\x1b]0;x\x07", "\x7f", "\x85", "\u2028", "\ufeff", "\u202e"),
    *("\U0001f9d1\u200d\U0001f680", "e\u0301", "\u0623\u0647\u0644\u0627", "<s>", "</s>", "[PAD]"),
    *("nan", "inf", "-inf", "1e999", "1e300", "-1", "0", "-0", "1_0", "0x10", "\u0661", "1e-400"),
    *("9" * 30, "9" * 5000, "a" * 5000, "..", "../../x", "/", "C:\\x", "%s{0}", "'", '"', '"""'),
    *("{}", "[]", "null", "true", '{"id":', "\\ud800", "[" * 3000, "<x>" * 3000, "&a;", "]]>"),
)
"""Texts that parsers, numbers and file names stumble on."""

NODES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308, float("nan")),
    *(float("inf"), [], {}, [[]], [None], {"": None}, "\ud800", *HOSTILE),
)
"""Values that no description expects somewhere."""


def mutate_bytes(content: bytes, rng: random.Random) -> bytes:
    """Change, cut, repeat or insert one to four spans of bytes."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        content = _mutate_span(content, rng)
    return content


def _mutate_span(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    end = min(len(content), start + rng.choice((1, 1, 2, 4, 16, 64, 256)))
    span = content[start:end]
    new = rng.choice(
        (
            lambda: bytes(byte ^ (1 << rng.randrange(8)) for byte in span),
            lambda: rng.randbytes(len(span)),
            lambda: b"",
            lambda: span * rng.randrange(2, 5),
            lambda: rng.choice((b"\x00", b"\xff", b"\n", b"\r\n", b"\t", b" ", b"\xed\xa0\x80")),
            lambda: span + rng.choice(HOSTILE).encode(),
            lambda: span[::-1],
        )
    )()
    if rng.random() < 0.05:
        return content[:start]
    return content[:start] + new + content[end:]


def mutate_fields(separator: str) -> Mutator:
    """Give what drops, repeats, swaps or replaces a field of a line, or whole lines."""

    def mutate(content: bytes, rng: random.Random) -> bytes:
        lines = content.decode().splitlines()
        number = rng.randrange(len(lines))
        fields = lines[number].split(separator)
        column = rng.randrange(len(fields))
        kind = rng.randrange(7)
        if kind == 0:
            del fields[column]
        elif kind == 1:
            fields.insert(column, rng.choice(fields))
        elif kind == 2:
            rng.shuffle(fields)
        elif kind == 3:
            fields[column] = rng.choice(HOSTILE)
        elif kind == 4:
            fields[column] += rng.choice(HOSTILE)
        elif kind == 5:
            fields = rng.choice(lines).split(separator)
        lines[number] = separator.join(fields)
        if kind == 6:
            lines = rng.choice(([], lines[:number], lines * 2, lines[::-1]))
        return ("\n".join(lines) + "\n" * rng.randrange(3)).encode()

    return mutate


def mutate_json(content: bytes, rng: random.Random) -> bytes:
    """Replace, remove, rename or nest a node of a JSON document."""
    return json.dumps(_mutate_node(json.loads(content), rng)).encode()


def mutate_json_lines(content: bytes, rng: random.Random) -> bytes:
    """Do so to a line of a JSON-lines file."""
    lines = content.splitlines()
    number = rng.randrange(len(lines))
    lines[number] = mutate_json(lines[number], rng)
    return b"\n".join(lines) + b"\n"


def _mutate_node(node: Any, rng: random.Random) -> Any:
    if not node or not isinstance(node, dict | list) or rng.random() < 0.15:
        return rng.choice((lambda: rng.choice(NODES), lambda: [node], lambda: {"a": node}))()
    if isinstance(node, list):
        place = rng.randrange(len(node))
        changed = [_mutate_node(node[place], rng)] * rng.choice((0, 1, 1, 1, 2))
        return [*node[:place], *changed, *node[place + 1 :]]
    key = rng.choice(list(node))
    if rng.random() < 0.15:
        return {name: value for name, value in node.items() if name != key}
    if rng.random() < 0.1:
        return {rng.choice(HOSTILE) if name == key else name: v for name, v in node.items()}
    return {**node, key: _mutate_node(node[key], rng)}


def mutate_toml(content: bytes, rng: random.Random) -> bytes:
    """Replace a value, a key or a header, or repeat or remove a line."""
    lines = content.decode().splitlines()
    for _ in range(rng.choice((1, 1, 2))):
        number = rng.randrange(len(lines))
        key, equals, value = lines[number].partition(" = ")
        literals = (
            *("nan", "-inf", "1e400", "9" * 30, "9" * 999, "-1", "0", "true", "[]", "{}", '""'),
            *('"\\u0000"', '".."', '"\\u001b[2J"', "2026-11-26", "0.5", "[[1]]", '["a"]', "'x'"),
            *("[" * 3000, '"a/b"', '"x y"', "{a = {b = 1}}", '"' + "a" * 5000 + '"', value),
        )
        lines[number : number + 1] = rng.choice(
            (
                [f"{key} = {rng.choice(literals)}"],
                [f"{key} = {rng.choice(literals)}"],
                [f"{rng.choice(HOSTILE)}{equals}{value}"],
                [],
                [lines[number]] * 2,
                [rng.choice(lines)],
                [f"[{rng.choice(('teacher', 'a.b', 'students.' + key, key, 'tasks'))}]"],
            )
        )
        if not lines:
            break
    return "\n".join(lines).encode()


def mutate_xml(content: bytes, rng: random.Random) -> bytes:
    """Repeat, remove or replace what stands between two angle brackets, or beside them."""
    parts = content.decode().split("<")
    place = rng.randrange(len(parts))
    new = (
        *("/", "!--", "![CDATA[", "?xml version='1.0' encoding='big5'?>", "!ENTITY a 'b'>", "?x?>"),
        *('tuv xml:lang="sw">', "seg>", "/seg>", "tu>", "/tu>", "it>", "tuv>", "seg/>"),
        *(f"seg>{text}" for text in HOSTILE),
    )
    parts[place : place + 1] = rng.choice(
        ([], [parts[place]] * 2, [rng.choice(new)], [parts[place], rng.choice(new)], parts[::-1])
    )
    return "<".join(parts).encode()


def mutate_any(*mutators: Mutator) -> Mutator:
    """Give what is one of these or `mutate_bytes`, by chance."""
    return lambda content, rng: rng.choice((mutate_bytes, *mutators))(content, rng)


def mutate_folder(
    seed: Path, folder: Path, rng: random.Random, files: Sequence[str] | None = None
) -> list[str]:
    """Make `folder` a copy of the folder `seed` with one or two files changed; give their names.

    Parameters
    ----------
    files : sequence of str, optional
        Those that may change, by paths within the folder; all by default.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(seed, folder)
    names = files or sorted(
        str(path.relative_to(seed)) for path in seed.rglob("*") if path.is_file()
    )
    chosen = rng.sample(list(names), min(len(names), rng.choice((1, 1, 1, 2))))
    for name in chosen:
        _mutate_file(folder / name, seed / rng.choice(list(names)), rng)
    return chosen


def _mutate_file(path: Path, other: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    kind = rng.randrange(20)
    if kind == 0:
        path.unlink()
    elif kind == 1:
        path.unlink()
        path.mkdir()
    elif kind == 2:
        path.write_bytes(other.read_bytes())
    elif kind == 3:
        path.write_bytes(b"")
    elif path.suffix == ".json" and kind < 15:
        path.write_bytes(mutate_json(content, rng))
    else:
        path.write_bytes(mutate_bytes(content, rng))

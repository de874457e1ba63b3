"""The commands of the page on scale exist with the flags it shows."""

import re
import shlex
from pathlib import Path
from textwrap import indent

import pytest
import typer

from optical_ir.cli import app

PAGE = Path(__file__).resolve().parent.parent / "docs" / "scale.md"


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```sh\n((?:.|\n)*?)^```", PAGE.read_text("utf-8"), re.M)
    lines = (shlex.split(line, comments=True) for block in blocks for line in block.splitlines())
    return [line[1:] for line in lines if line and line[0] == "optical-ir"]


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_commands_parse(arguments):
    group = typer.main.get_command(app)
    name, *rest = arguments
    verb = group.get_command(typer.Context(group), name)
    assert verb is not None
    assert verb.make_context(name, rest).params


def test_the_page_shows_each_verb_beyond_one_machine():
    shown = {arguments[0] for arguments in commands()}
    assert shown >= {"encode-ray", "export-index", "search-exported"}


def test_the_schema_of_the_page_is_the_one_that_is_written():
    from optical_ir.engines.vespa import _SCHEMA

    schema = _SCHEMA.format(name="english", kind="tensor<bfloat16>", dim=384)
    assert indent(schema, "    ") in PAGE.read_text("utf-8")

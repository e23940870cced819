"""Rules about the Python code, read without running it."""

import ast
import sys
from collections.abc import Iterator
from functools import cache

from scripts.package.check.package import Declared, Package

# The class of the SDK that a source file has to hold one subclass of.
MODEL_BASES = {
    "llm": "LargeLanguageModel",
    "text_embedding": "TextEmbeddingModel",
    "rerank": "RerankModel",
    "speech2text": "Speech2TextModel",
    "tts": "TTSModel",
    "moderation": "ModerationModel",
}
# The daemon's environment, which a plugin inherits, holds passwords; its standard output is the daemon's wire.
FORBIDDEN_CALLS = {"print", "eval", "exec", "compile", "__import__", "breakpoint", "input"}
FORBIDDEN_MODULES = {
    "subprocess",
    "pickle",
    "marshal",
    "ctypes",
    "pty",
    "shelve",
    "multiprocessing",
}
FORBIDDEN_ATTRIBUTES = {("os", "system"), ("os", "popen"), ("os", "environ"), ("os", "getenv")}
PATH_LINE = "dify_plugin.__path__"


def python_parses(package: Package, _: Declared) -> Iterator[str]:
    for name in package.named(".py"):
        if _tree(package, name) is None:
            yield f"{name} is not Python."


def entry_point(package: Package, declared: Declared) -> Iterator[str]:
    """The SDK patches the process, so that it comes before any other library."""
    if declared.manifest is None:
        return
    name = declared.manifest.meta.runner.entrypoint.replace(".", "/") + ".py"
    tree = _tree(package, name)
    if tree is None:
        yield f"manifest.yaml: meta.runner.entrypoint: {name} is not there."
        return
    foreign = [
        module for module, _ in _imports(tree) if _top(module) not in sys.stdlib_module_names
    ]
    if not foreign or _top(foreign[0]) != "dify_plugin":
        yield f"{name}: the first import of a library is not dify_plugin."
    ours = any(path.startswith("dify_plugin/") for path in package.files)
    if ours and PATH_LINE not in package.text(name):
        yield f"{name}: does not put our folder onto {PATH_LINE}."


def sources(package: Package, declared: Declared) -> Iterator[str]:
    """Each file that Dify loads is there and shows exactly one class of the wanted kind."""
    loaded = dict(_sources(declared))
    for name, base in loaded.items():
        tree = _tree(package, name)
        if tree is None:
            yield f"{name} is named as a source and not there."
            continue
        classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        own = [
            c.name for c in classes if base in {ast.unparse(b).rpartition(".")[2] for b in c.bases}
        ]
        if len(own) != 1:
            yield f"{name}: Dify wants one {base}, here are {len(own)}."
        for module, _ in _imports(tree):
            if module.replace(".", "/") + ".py" in loaded:
                yield f"{name}: imports {module}, whose class Dify would see as a second one."


def model_sources(_: Package, declared: Declared) -> Iterator[str]:
    """One for each supported type; the SDK names a model's folder in its errors by the third part from the end."""
    for name, provider in declared.model_providers.items():
        for source in provider.extra.python.model_sources:
            if source.count("/") < 2:
                yield f"{name}: {source} needs three parts, like models/llm/llm.py."
        wanted = {kind.replace("-", "_") for kind in provider.supported_model_types}
        given = {_folder(source) for source in provider.extra.python.model_sources}
        for kind in sorted(wanted - given):
            yield f"{name}: model_sources: none for {kind}."
        for kind in sorted(given - wanted):
            yield f"{name}: model_sources: {kind} is no supported type."


def harmless_python(package: Package, _: Declared) -> Iterator[str]:
    """Nothing that writes to the daemon's wire, runs text, starts programs or reads the daemon's environment."""
    for name in package.named(".py"):
        for line, fault in _harms(_tree(package, name) or ast.Module([], [])):
            yield f"{name}:{line}: {fault}."


@cache
def _harms(tree: ast.Module) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=called)) if called in FORBIDDEN_CALLS:
                found.append((node.lineno, f"calls {called}"))
            case ast.Attribute(value=ast.Name(id=module), attr=attribute):
                if (module, attribute) in FORBIDDEN_ATTRIBUTES:
                    found.append((node.lineno, f"uses {module}.{attribute}"))
    for module, line in _imports(tree):
        if _top(module) in FORBIDDEN_MODULES:
            found.append((line, f"imports {module}"))
    return found


def no_dead_code(package: Package, declared: Declared) -> Iterator[str]:
    """Every module is loaded by Dify or imported, directly or not, by one that is."""
    if declared.manifest is None:
        return
    entry = declared.manifest.meta.runner.entrypoint.replace(".", "/") + ".py"
    reached, open_ends = set[str](), [entry, *dict(_sources(declared))]
    while open_ends:
        name = open_ends.pop()
        tree = _tree(package, name)
        if name in reached or tree is None:
            continue
        reached.add(name)
        folder = name.rpartition("/")[0]
        open_ends += [f for module, _ in _imports(tree, folder) for f in _files_of(module)]
    for name in sorted(set(package.named(".py")) - reached):
        if not name.endswith("__init__.py"):
            yield f"{name} is used by nothing."


def _sources(declared: Declared) -> Iterator[tuple[str, str]]:
    for tools in declared.tool_providers.values():
        yield tools.extra.python.source, "ToolProvider"
    for tool in declared.tools.values():
        yield tool.extra.python.source, "Tool"
    for endpoint in declared.endpoints.values():
        yield endpoint.extra.python.source, "Endpoint"
    for models in declared.model_providers.values():
        yield models.extra.python.provider_source, "ModelProvider"
        for source in models.extra.python.model_sources:
            yield source, MODEL_BASES.get(_folder(source), "AIModel")


def _folder(source: str) -> str:
    parts = source.split("/")
    return parts[-2] if len(parts) > 1 else ""


@cache
def _imports(tree: ast.Module, folder: str = "") -> list[tuple[str, int]]:
    """Modules with their lines, in the order of the file; what `from x import y` takes may be a module too."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = folder.split("/")[: len(folder.split("/")) - node.level + 1]
            module = ".".join(
                [*(parts if node.level else []), *([node.module] if node.module else [])]
            )
            found += [(module, node.lineno)]
            found += [(f"{module}.{alias.name}", node.lineno) for alias in node.names]
    return sorted(found, key=lambda one: one[1])


def _files_of(module: str) -> list[str]:
    path = module.replace(".", "/")
    return [f"{path}.py", f"{path}/__init__.py"]


def _top(module: str) -> str:
    return module.partition(".")[0]


def _tree(package: Package, name: str) -> ast.Module | None:
    if name not in package.files:
        return None
    return _parsed(package.files[name])


@cache
def _parsed(content: bytes) -> ast.Module | None:
    try:
        return ast.parse(content)
    except (SyntaxError, ValueError):
        return None

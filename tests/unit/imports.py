"""
Reader of a package's imports.

Strategy: every import statement is read, wherever it stands, and every name
given to ``import_module`` or ``__import__``; a name that is computed is told as
such. Nothing is imported.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

__all__ = ["Import", "Package", "read_package"]

_LOADERS = {"import_module", "__import__"}


@dataclass(frozen=True)
class Import:
    """
    One thing that a module imports.

    Attributes:
        module: Who imports, without the package's own name: ``client.stream``.
        target: What; a module of the package without the package's name, or
            the full name of any other, down to what is taken from it
            (``urllib.parse.quote``). ``*`` if the name is computed.
        ours: The target belongs to the package.
        scope: The function in which it stands (``Client.map``), or ``""``.
        typing: It is for type checkers only.
        line: Where.
    """

    module: str
    target: str
    ours: bool
    scope: str
    typing: bool
    line: int

    def __str__(self) -> str:
        return f"{self.module or '__init__'}:{self.line} imports {self.target or 'the package'}"


@dataclass(frozen=True)
class Package:
    """
    All modules of a package, and what each imports.

    Attributes:
        name: The package's.
        imports: By module; ``""`` is the package's own ``__init__``.
        packages: Those of the modules that are an ``__init__``.
        own: Names that an ``__init__`` defines as functions or classes of its own.
    """

    name: str
    imports: Mapping[str, list[Import]]
    packages: Collection[str]
    own: Mapping[str, list[str]]

    def changed(self, module: str, text: str) -> Package:
        """Give the package as it would be with another text of one module."""
        reader = _Reader(self.name, module, self.imports, self.packages)
        return replace(self, imports={**self.imports, module: reader.read(ast.parse(text))})

    def __iter__(self) -> Iterator[Import]:
        for found in self.imports.values():
            yield from found

    def graph(self, *, late: bool, typing: bool) -> dict[str, set[str]]:
        """
        Say which modules import which.

        Args:
            late: Count imports inside of functions, too.
            typing: Count those for type checkers, too.
        """
        return {
            module: {
                one.target
                for one in found
                if one.ours
                and one.target not in (module, "*")
                and (late or not one.scope)
                and (typing or not one.typing)
            }
            for module, found in self.imports.items()
        }

    def circles(self) -> list[list[str]]:
        """Find modules that import each other in a circle, in each of the three readings."""
        found: list[list[str]] = []
        for late, typing in ((True, True), (True, False), (False, False)):
            found += _circles(self.graph(late=late, typing=typing))
        return found


def read_package(root: Path) -> Package:
    """
    Read all modules of a package.

    Args:
        root: Its folder.
    """
    paths = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        paths[".".join(part for part in parts if part != "__init__")] = path
    packages = {name for name, path in paths.items() if path.name == "__init__.py"}
    imports, own = {}, {}
    for name, path in paths.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports[name] = _Reader(root.name, name, paths, packages).read(tree)
        if name in packages:
            own[name] = [
                node.name
                for node in tree.body
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
                and node.name not in ("__getattr__", "__dir__")
            ]
    return Package(root.name, imports, packages, own)


class _Reader(ast.NodeVisitor):
    """
    Reader of one module.

    Args:
        root: The package's name.
        module: The module's, without it.
        modules: All modules of the package.
        packages: Those that are an ``__init__``.
    """

    def __init__(
        self, root: str, module: str, modules: Collection[str], packages: Collection[str]
    ) -> None:
        self._root = root
        self._module = module
        self._modules = modules
        self._folder = module if module in packages else module.rpartition(".")[0]
        self._scope: list[str] = []
        self._inside = 0
        self._typing = False
        self._loaders = set(_LOADERS)
        self._found: list[Import] = []

    def read(self, tree: ast.Module) -> list[Import]:
        """Give what the module imports, in order."""
        self.visit(tree)
        return self._found

    # Statements

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self._resolve("." * node.level + (node.module or ""))
        for alias in node.names:
            if alias.name == "import_module":
                self._loaders.add(alias.asname or alias.name)
            self._add(f"{base}.{alias.name}" if alias.name != "*" else base, node)

    def visit_If(self, node: ast.If) -> None:
        test, negated = node.test, False
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            test, negated = test.operand, True
        typing = "TYPE_CHECKING" in ast.dump(test)
        self.visit(node.test)
        for statements, only in ((node.body, not negated), (node.orelse, negated)):
            before = self._typing
            self._typing = before or (typing and only)
            for statement in statements:
                self.visit(statement)
            self._typing = before

    # Scopes

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._enter(node.name, node.body, [*node.decorator_list, *node.bases, *node.keywords])

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._enter(node.name, node.body, [*node.decorator_list, node.args], late=True)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._enter("<lambda>", [node.body], [node.args], late=True)

    def _enter(
        self, name: str, inner: list[ast.AST], outer: list[ast.AST], *, late: bool = False
    ) -> None:
        for child in outer:
            self.visit(child)
        self._scope.append(name)
        self._inside += late
        for child in inner:
            self.visit(child)
        self._inside -= late
        self._scope.pop()

    # Names given to a function

    def visit_Call(self, node: ast.Call) -> None:
        if not self._loads(node.func):
            self.generic_visit(node)
            return
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        name = given[0] if given else None
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            self._add(self._resolve(name.value), node)
        else:
            self._add("*", node)
        for child in given:
            self.visit(child)

    def visit_Name(self, node: ast.Name) -> None:
        # Handed on instead of called: whoever gets it may load anything.
        if isinstance(node.ctx, ast.Load) and self._loads(node):
            self._add("*", node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if self._loads(node):
            self._add("*", node)
        self.generic_visit(node)

    def _loads(self, function: ast.expr) -> bool:
        if isinstance(function, ast.Attribute):
            return function.attr in _LOADERS
        return isinstance(function, ast.Name) and function.id in self._loaders

    def _resolve(self, name: str) -> str:
        """Make a relative name absolute, with the package's name before it."""
        level = len(name) - len(name.lstrip("."))
        if not level:
            return name
        folder = [self._root, *(self._folder.split(".") if self._folder else [])]
        return ".".join([*folder[: len(folder) - level + 1], *name.lstrip(".").split(".")]).rstrip(
            "."
        )

    def _add(self, name: str, node: ast.stmt | ast.expr) -> None:
        root, _, inner = name.partition(".")
        ours = root == self._root
        if ours:
            # What is no module is taken from one.
            while inner and inner not in self._modules:
                inner = inner.rpartition(".")[0]
        scope = ".".join(self._scope) if self._inside else ""
        self._found.append(
            Import(
                module=self._module,
                target=inner if ours else name,
                ours=ours,
                scope=scope,
                typing=self._typing,
                line=node.lineno,
            )
        )


def _circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Find the strongly connected components of more than one module (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def connect(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in index:
                connect(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            ring: list[str] = []
            while not ring or ring[-1] != node:
                ring.append(stack.pop())
            if len(ring) > 1:
                found.append(sorted(ring))

    for node in graph:
        if node not in index:
            connect(node)
    return found

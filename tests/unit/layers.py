"""
Reader of a package's imports, and the rules that `test_layers` holds them to.

Strategy: every import statement is read, wherever it stands, and every name
given to ``import_module`` or ``__import__``; what cannot be read (a name that
is computed) must be declared. The reader knows nothing of our folders: the
table of layers is passed in, so that the rules can be tried on small trees.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

__all__ = ["Door", "Import", "Layer", "Package", "Table", "read_package"]

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


@dataclass(frozen=True)
class Door:
    """
    A way upward that the table names.

    Attributes:
        module: In which module.
        scope: In which function; its types may be imported by the module, too.
        target: To which module.
    """

    module: str
    scope: str
    target: str

    def lets(self, one: Import) -> bool:
        """Say whether an import goes through it."""
        return (one.module, one.target) == (self.module, self.target) and (
            one.typing or one.scope == self.scope
        )


@dataclass(frozen=True)
class Layer:
    """
    What the modules of a folder, or a module on its own, may import.

    Attributes:
        ours: Folders and modules of the package besides its own folder.
        others: Names of the standard library and of third parties; each lets
            in what lies below it.
        types: What of either may be imported for type checkers alone.
        alone: More names for single modules of the folder.
    """

    ours: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    alone: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """
    The layers of a package.

    Attributes:
        layers: By folder or module of the package's top; ``""`` is its ``__init__``.
        everywhere: What every module may import from outside.
        types: The same, for type checkers alone.
        doors: The only ways upward.
        fronts: Folders whose ``__init__`` has something of its own.
        computed: Modules that import names which they compute, and what these
            are, in words.
    """

    layers: Mapping[str, Layer]
    everywhere: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    doors: Collection[Door] = ()
    fronts: Collection[str] = ()
    computed: Mapping[str, str] = field(default_factory=dict)

    def place(self, module: str) -> str:
        """Say under which name of the table a module stands."""
        return module.partition(".")[0]

    def faults(self, package: Package) -> list[str]:
        """
        List everything in a package that is against the rules.

        Returns:
            A sentence each; empty if all is well.
        """
        return [
            *self._misplaced(package),
            *(fault for one in package for fault in self._fault(one, package)),
            *(f"{' and '.join(ring)} import each other" for ring in package.circles()),
            *(
                f"{name or 'the package'}: its __init__ defines {', '.join(own)} instead of "
                "re-exporting"
                for name, own in package.own.items()
                if own and name not in self.fronts
            ),
        ]

    def stale(self, package: Package) -> list[str]:
        """
        List what the table allows and nobody does: it would let something in unseen.

        Returns:
            A sentence each; empty if all is used.
        """
        return [*self._stale_names(package), *self._stale_exceptions(package)]

    def _misplaced(self, package: Package) -> Iterator[str]:
        for place in sorted({self.place(module) for module in package.imports}):
            if place not in self.layers:
                yield f"{place} stands in no layer"

    def _fault(self, one: Import, package: Package) -> Iterator[str]:
        if one.target == "*":
            if one.module not in self.computed:
                yield f"{one.module}:{one.line} imports a name that it computes"
            return
        place = self.place(one.module)
        layer = self.layers.get(place, Layer())
        if one.ours:
            if any(door.lets(one) for door in self.doors):
                return
            if one.target in package.packages:
                yield f"{one}, an __init__, instead of the module that is meant"
                return
            names = {self.place(one.target)}
            allowed = layer.ours | {place}
        else:
            names = _with_parents(one.target)
            allowed = self.everywhere | layer.others | layer.alone.get(one.module, frozenset())
        if one.typing:
            allowed |= self.types | layer.types
        if not names & allowed:
            yield f"{one}, which its layer may not"

    def _stale_names(self, package: Package) -> Iterator[str]:
        for place, layer in self.layers.items():
            used: set[str] = set()
            for one in package:
                if self.place(one.module) == place:
                    used |= {self.place(one.target)} if one.ours else _with_parents(one.target)
            alone = frozenset().union(*layer.alone.values())
            for other in sorted((layer.ours | layer.others | layer.types | alone) - used):
                yield f"the table lets {place or '__init__'} import {other}, and it does not"

    def _stale_exceptions(self, package: Package) -> Iterator[str]:
        for door in self.doors:
            if not any(door.lets(one) and not one.typing for one in package):
                yield f"nothing goes through the door {door}"
        for front in self.fronts:
            if not package.own.get(front):
                yield f"the __init__ of {front} only re-exports, and needs no exception"
        for module in self.computed:
            if not any(one.target == "*" for one in package.imports.get(module, ())):
                yield f"{module} imports no name that it computes"


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


def _with_parents(name: str) -> set[str]:
    """Give a dotted name, and those that it lies below."""
    parts = name.split(".")
    return {".".join(parts[: count + 1]) for count in range(len(parts))}


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

"""
Rules of layers: a table of what may import what, and the faults of a package by it.

It knows nothing of our folders: the table is passed in, so that the rules can
be tried on small trees.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from imports import Import, Package

__all__ = ["Door", "Layer", "Table"]


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


def _with_parents(name: str) -> set[str]:
    """Give a dotted name, and those that it lies below."""
    parts = name.split(".")
    return {".".join(parts[: count + 1]) for count in range(len(parts))}

"""A contract for import-linter: what can be reached from here, and nothing else.

The built-in ``forbidden`` contract lists what is not allowed, so it forgets what
nobody thought of. This one lists what is allowed: from ``sources``, through any
chain of imports, only ``sources`` and ``allowed`` may be reached. Names of
modules that do not exist (yet) are harmless. Two words stand for many:

    @pure    the modules of the standard library that only compute
    @stdlib  the whole standard library
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

PURE = frozenset(
    {"__future__", "abc", "base64", "binascii", "bisect", "cmath", "collections", "contextlib"}
    | {"copy", "dataclasses", "decimal", "enum", "errno", "fractions", "functools", "hashlib"}
    | {
        "heapq",
        "hmac",
        "ipaddress",
        "itertools",
        "json",
        "keyword",
        "math",
        "numbers",
        "operator",
        "re",
    }
    | {"statistics", "string", "struct", "textwrap", "types", "typing", "unicodedata", "zlib"}
)
"""Standard modules without world, clock or chance."""

SHORTHANDS = {"@pure": PURE, "@stdlib": sys.stdlib_module_names}

Chain = tuple[str, ...]


def within(module: str, names: Iterable[str]) -> bool:
    """Whether ``module`` is one of ``names`` or stands inside one of them."""
    return any(module == name or module.startswith(f"{name}.") for name in names)


def expand(names: Iterable[str]) -> frozenset[str]:
    """``names`` with the shorthands written out."""
    found: set[str] = set()
    for name in names:
        found |= SHORTHANDS.get(name, {name})
    return frozenset(found)


def trespasses(graph: ImportGraph, sources: frozenset[str], allowed: frozenset[str]) -> list[Chain]:
    """The shortest chain from ``sources`` to each module that is not allowed.

    A chain ends at the first trespass; what lies behind it is not followed.
    """
    chains: dict[str, Chain] = {m: (m,) for m in sorted(graph.modules) if within(m, sources)}
    queue, found = list(chains), []
    for module in queue:
        for target in sorted(graph.find_modules_directly_imported_by(module)):
            if target in chains:
                continue
            chains[target] = (*chains[module], target)
            if within(target, sources | allowed):
                queue.append(target)
            else:
                found.append(chains[target])
    return found


class ReachContract(Contract):
    """``sources`` may reach ``sources`` and ``allowed``, directly or not."""

    type_name = "reach"

    sources: Any = fields.SetField(subfield=fields.StringField())
    allowed: Any = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Look for chains that lead astray."""
        chains = trespasses(graph, frozenset(self.sources), expand(self.allowed))
        lines = [
            " -> ".join(chain) + f"   (line {_line(graph, chain[-2], chain[-1])})"
            for chain in chains
        ]
        return ContractCheck(kept=not chains, metadata={"lines": lines})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print each chain with the line of its last import."""
        for line in check.metadata["lines"]:
            output.print_error(f"- {line}", bold=False)
        output.new_line()


def _line(graph: ImportGraph, importer: str, imported: str) -> int:
    return min(
        int(detail["line_number"])
        for detail in graph.get_import_details(importer=importer, imported=imported)
    )

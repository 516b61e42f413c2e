"""Take a hand-in's program apart: run one block with what it needs, or all of it with some blocks replaced."""

import ast
import builtins
import contextlib
import copy
import itertools
import re
import symtable
import textwrap
from collections.abc import Iterable
from typing import Any

from .blocks import Script

FILE = "<hand-in>"
FEW = 3  # epochs that the checks let a program train for
RETURNED = "__returned__"
DEFINITIONS = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


class Program:
    """The syntax of a hand-in, each block as it is or blank."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.fillers = _fillers(script)  # None: not even with blank blocks is it Python
        self.broken = {n for n in script.blocks if self.syntax_error(n)}

    def parse(self, keep: Iterable[int], replaced: dict[int, str] | None = None) -> ast.Module | None:
        """Parse the program with the blocks of ``keep`` as they are, the others blank or replaced; None: no Python."""
        text = with_blocks(self.script, set(keep), (self.fillers or {}) | (replaced or {}))
        try:
            return ast.parse(text, FILE)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None

    def syntax_error(self, section: int) -> str:
        """Say what is wrong with a block that is not Python; empty if it is."""
        try:
            if self.fillers is None:
                _alone(self.script.code(section))
            else:
                ast.parse(with_blocks(self.script, {section}, self.fillers), FILE)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return f"{type(error).__name__}: {error}"
        return ""

    def block(self, section: int, also: Iterable[int] = ()) -> tuple[list[ast.stmt], list[ast.stmt]]:
        """Return the statements of a block, and those before it that they need, in order.

        A block inside of an expression (``Compose([…])``) counts as the statement that this is in. What is done to a
        network before (frozen layers) is needed, too.

        Args:
            also: other blocks that belong to what is needed.
        """
        tree, place = self.parse(keep={section, *also}), self.script.blocks[section]
        if tree is None:  # the program around the block is not Python: the block is all there is
            return _alone(self.script.code(section)), []
        levels: list[list[ast.stmt]] = []
        statements = _covering(tree.body, place.first, place.last, levels)
        others = [self.script.blocks[n] for n in also]
        chosen = [each for other in others for each in _covering(tree.body, other.first, other.last, [])]
        needed = names_read(statements + chosen)
        before = [each for level in levels for each in level if each.end_lineno < place.first]
        before += [each for each in tree.body if isinstance(each, DEFINITIONS) and not _holds(each, place.first)]
        for statement in sorted(before, key=lambda each: -each.lineno):
            touched = {name for name in names_read([statement]) & needed if re.search("model|net", name)}
            acts = touched and not isinstance(statement, DEFINITIONS)
            if statement not in chosen and statement not in statements and (names_bound([statement]) & needed or acts):
                chosen.append(statement)
                needed |= names_read([statement])
        return statements, sorted(chosen, key=lambda each: each.lineno)

    def undefined(self, present: Iterable[int]) -> set[str]:
        """Return the names that the program reads and nothing in it binds where they are read."""
        tree = self.parse(keep=present)
        if tree is None or any(isinstance(n, ast.ImportFrom) and n.names[0].name == "*" for n in ast.walk(tree)):
            return set()
        try:
            top = symtable.symtable(ast.unparse(tree), FILE, "exec")
        except (SyntaxError, RecursionError):  # what only running it would bring to light
            return set()
        scopes = [top]
        for scope in scopes:
            scopes += scope.get_children()
        symbols = [(symbol, scope is top) for scope in scopes for symbol in scope.get_symbols()]
        everywhere = [symbol for symbol, outermost in symbols if outermost or symbol.is_global()]
        bound = {s.get_name() for s in everywhere if s.is_assigned() or s.is_imported()}
        read = {symbol.get_name() for symbol in everywhere if symbol.is_referenced()}
        return read - bound - set(dir(builtins)) - {"__file__", "__name__"}


def _alone(code: str) -> list[ast.stmt]:
    """Parse a block without its surroundings, as statements or as the items of a list."""
    body: list[ast.stmt] = []
    with contextlib.suppress(SyntaxError):
        body = ast.parse(textwrap.dedent(code), FILE).body
    if not all(isinstance(each, ast.Expr) for each in body):
        return body
    try:
        return ast.parse(f"{RETURNED} = [\n{code}\n]", FILE).body
    except SyntaxError:
        if body:  # calls, one a line
            return body
        raise


def with_blocks(script: Script, keep: set[int], fillers: dict[int, str]) -> str:
    """Return the text with all blocks but those of ``keep`` replaced; line numbers stay."""
    lines = script.lines
    for section, block in script.blocks.items():
        if section in keep:
            continue
        code = [line for line in lines[block.first - 1 : block.last] if line.strip() and line.strip()[0] != "#"]
        model = code[0] if code else lines[block.first - 2]
        indent = model[: len(model) - len(model.lstrip())]
        lines[block.first - 1 : block.last] = [""] * (block.last - block.first + 1)
        lines[block.first - 2] = indent + fillers.get(section, "pass")  # in place of the START marker
    return "\n".join(lines)


def _fillers(script: Script) -> dict[int, str] | None:
    """Return what to write for a blank block: ``pass``, or nothing where it stands inside of an expression."""
    sections = sorted(script.blocks)
    choices = sorted(itertools.product(("pass", ""), repeat=len(sections)), key=lambda each: each.count(""))
    for choice in choices:
        fillers = dict(zip(sections, choice, strict=True))
        try:
            ast.parse(with_blocks(script, set(), fillers), FILE)
            return fillers
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def _covering(body: list[ast.stmt], first: int, last: int, levels: list[list[ast.stmt]]) -> list[ast.stmt]:
    """Return the innermost statements on these lines; ``levels`` takes the bodies around them."""
    levels.append(body)
    here = [each for each in body if each.end_lineno >= first and each.lineno <= last]
    if len(here) == 1 and here[0].lineno < first:
        for part in _bodies(here[0]):
            if part[0].lineno <= last and part[-1].end_lineno >= first:
                return _covering(part, first, last, levels)
        if _bodies(here[0]):
            return []  # the block has only comments
    return here


def _bodies(statement: ast.stmt) -> list[list[ast.stmt]]:
    parts = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
    parts += [each.body for each in getattr(statement, "handlers", []) + getattr(statement, "cases", [])]
    return [part for part in parts if part]


def _holds(statement: ast.stmt, line: int) -> bool:
    return statement.lineno <= line <= statement.end_lineno


def names_read(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that are read, anywhere in the nodes."""
    found = {each for node in nodes for each in ast.walk(node)}
    return {each.id for each in found if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}


def names_bound(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that are assigned, imported or defined, anywhere in the nodes."""
    names: set[str] = set()
    for each in (each for node in nodes for each in ast.walk(node)):
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            names.add(each.id)
        elif isinstance(each, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
            names.add(each.name)
        elif isinstance(each, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name.split(".")[0] for alias in each.names}
        elif isinstance(each, ast.ExceptHandler) and each.name:
            names.add(each.name)
    return names


def run(statements: Iterable[ast.stmt], namespace: dict[str, Any], tolerant: bool = False) -> None:
    """Execute statements one after the other; a ``return`` stores its value under ``RETURNED``.

    Args:
        tolerant: go on after a statement that fails.
    """
    for statement in statements:
        module = ast.Module([_Unreturned().visit(copy.deepcopy(statement))], [])
        try:
            exec(compile(ast.fix_missing_locations(module), FILE, "exec"), namespace)
        except Exception:
            if not tolerant:
                raise


class _Unreturned(ast.NodeTransformer):
    """Turn ``return value`` into an assignment, but for those of functions that are defined."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.Lambda:
        return node

    def visit_Return(self, node: ast.Return) -> ast.stmt:
        value = node.value or ast.Constant(None)
        return ast.copy_location(ast.Assign([ast.Name(RETURNED, ast.Store())], value), node)


class ShortTraining(ast.NodeTransformer):
    """Let a program train for three epochs, whatever its settings say."""

    def visit_For(self, node: ast.For) -> ast.For:
        self.generic_visit(node)
        if _about_epochs(node.target) or _about_epochs(node.iter):
            node.iter = ast.copy_location(ast.Call(ast.Name("__few__", ast.Load()), [node.iter], []), node.iter)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.Assign:
        self.generic_visit(node)
        if isinstance(node.value, ast.Constant) and _about_epochs(node.targets[0]):
            node.value = _fewer(node.value, ast.unparse(node.targets[0]))
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.keyword:
        self.generic_visit(node)
        if node.arg and "epoch" in node.arg.lower():
            node.value = _fewer(node.value, node.arg)
        return node


def _about_epochs(node: ast.AST) -> bool:
    return any("epoch" in each.id.lower() for each in ast.walk(node) if isinstance(each, ast.Name))


def _fewer(node: ast.expr, name: str) -> ast.expr:
    """Return three instead of a number of epochs; ``start_epoch = 1`` is none."""
    number = isinstance(node, ast.Constant) and type(node.value) is int and node.value
    other = number and (number > FEW or (number > 0 and re.search("epochs", name, re.IGNORECASE)))
    return ast.copy_location(ast.Constant(FEW), node) if other else node


def few(epochs: Iterable[Any]) -> Iterable[Any]:
    """Return at most the first three of the epochs (``__few__`` in a shortened program)."""
    return itertools.islice(epochs, FEW)


def assigned_names(code: str) -> list[str]:
    """Return the names that lines assign to, even if they are no Python."""
    return list(dict.fromkeys(re.findall(r"(?m)^\s*([A-Za-z_]\w*)\s*=(?!=)", code)))

"""Which errors a function can raise, as far as its source shows."""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from tests.docstrings import OURS

#: So many calls deep it is looked.
DEPTH = 4


class Raising:
    """Finds the errors of functions, and of the functions and methods of their own that they call.

    An operation of Redis that is tried again for as long as the bus is patient is taken to raise
    `BusUnavailable`. What a handler catches, and does not raise anew, is not counted.

    Args:
        errors: Those that are looked for, by name.
    """

    def __init__(self, errors: Mapping[str, type]) -> None:
        self._errors = errors

    def look(self, function: Any, depth: int = DEPTH) -> set[str]:
        """The names of the errors of a function."""
        function = inspect.unwrap(function) if callable(function) else None
        if not depth or not inspect.isfunction(function):
            return set()
        if function.__module__.split(".")[0] not in OURS:
            return set()
        [tree] = ast.parse(textwrap.dedent(inspect.getsource(function))).body
        return _Function(self, function, self._errors, depth).look(ast.iter_child_nodes(tree))


class _Function:
    def __init__(
        self, raising: Raising, function: Any, errors: Mapping[str, type], depth: int
    ) -> None:
        self._raising = raising
        self._scope = function.__globals__
        self._owner: Any = None
        for part in function.__qualname__.split(".")[:-1]:
            self._owner = self._scope.get(part)
        self._errors = errors
        self._depth = depth

    def look(self, nodes: Iterable[ast.AST]) -> set[str]:
        found: set[str] = set()
        for node in nodes:
            match node:
                case ast.Lambda():  # what it does, it does for whoever calls it
                    continue
                case ast.Try() | ast.TryStar():
                    found |= self._uncaught(self.look(node.body), node.handlers)
                    found |= self.look([*node.handlers, *node.orelse, *node.finalbody])
                    continue
                case ast.Raise(exc=ast.Call(func=ast.Name(id=name))):
                    if name in self._errors and self._scope.get(name) is self._errors[name]:
                        found.add(name)
                case ast.Call(func=called):
                    found |= self._called(called)
            found |= self.look(ast.iter_child_nodes(node))
        return found

    def _called(self, called: ast.expr) -> set[str]:
        match called:
            case ast.Name(id=name):
                return self._raising.look(self._scope.get(name), self._depth - 1)
            case ast.Attribute(value=ast.Name(id="self"), attr=name) if self._owner is not None:
                method = inspect.getattr_static(self._owner, name, None)
                return self._raising.look(method, self._depth - 1)
            case ast.Attribute(value=holder, attr="run" | "retrying"):
                name = getattr(holder, "attr", getattr(holder, "id", ""))
                return {"BusUnavailable"} if name in {"link", "_link"} else set()
        return set()

    def _uncaught(self, found: set[str], handlers: list[ast.ExceptHandler]) -> set[str]:
        for handler in handlers:
            again = any(isinstance(n, ast.Raise) and n.exc is None for n in ast.walk(handler))
            if handler.type is not None and not again:
                caught = eval(ast.unparse(handler.type), self._scope)  # an expression of ours
                found = {name for name in found if not issubclass(self._errors[name], caught)}
        return found

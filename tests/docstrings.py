"""Docstrings of what is public: their sections, what they refer to, and the examples in them.

The form is Google's, with two additions. An `Example:` is code that stands in the program of its
package's docstring, in place of the dots; what it prints stands behind `#>`. A small type may have
`Example: See `Topic.subscribe`.` instead: the example there uses it.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cached_property
from types import ModuleType
from typing import Any, NamedTuple

#: Packages of ours: what is inherited from elsewhere is documented there.
OURS = ("bus", "presence", "storage")

_SECTION = re.compile(
    r"^(Args|Attributes|Example|Raises|Returns): ?(.*)\n((?:(?: {4}.*)?\n)*)", re.MULTILINE
)
_ENTRY = re.compile(r"^(\w+(?:, \w+)*): (.*(?:\n(?: {4}.*)?)*)", re.MULTILINE)
_REFERENCE = re.compile(r"(?:[Ss]ee|[Aa]s|[Ll]ike|[Ff]or|[Ii]n|the (async))\s+`([\w.]+)`")
_OUTPUT = re.compile(r"#> ?(.*)$", re.MULTILINE)


class Docstring:
    """A docstring, taken apart."""

    def __init__(self, text: str | None) -> None:
        self.text = inspect.cleandoc(text or "") + "\n"
        self._sections = {
            name: (rest, textwrap.dedent(body)) for name, rest, body in _SECTION.findall(self.text)
        }

    def entries(self, *sections: str) -> dict[str, str]:
        """What stands in `Args`, `Attributes` or `Raises`, by each name."""
        found = {}
        for section in sections:
            for names, said in _ENTRY.findall(self._sections.get(section, ("", ""))[1]):
                found |= dict.fromkeys(names.split(", "), said)
        return found

    @property
    def example(self) -> str:
        """The code of its example."""
        return self._sections.get("Example", ("", ""))[1]

    @property
    def see(self) -> str | None:
        """Whose example has to be looked at instead."""
        found = re.match(r"See `([\w.]+)`\.", self._sections.get("Example", ("", ""))[0])
        return found[1] if found else None

    @property
    def references(self) -> list[tuple[bool, str]]:
        """What it refers to for more, and whether that is the async twin's."""
        return [(bool(twin), name) for twin, name in _REFERENCE.findall(self.text)]


class Member(NamedTuple):
    """A public method, property or attribute of a class; or a function of a module."""

    owner: type | None
    name: str
    value: Any

    @property
    def function(self) -> Any:
        """What is called, or None."""
        value = self.value
        if isinstance(value, classmethod | staticmethod):
            value = value.__func__
        value = inspect.unwrap(value) if callable(value) else value
        return value if inspect.isfunction(value) else None

    @property
    def docstring(self) -> Docstring:
        if isinstance(self.value, property) or self.function is not None:
            own = self.value if self.owner is None else getattr(self.owner, self.name)
            return Docstring(inspect.getdoc(own))
        return Docstring(None)


class Names:
    """The exported names of a package, and the program that its examples stand in.

    Args:
        twins: A package whose classes of the same names say more: the async ones.
    """

    def __init__(
        self, module: ModuleType, names: list[str], twins: ModuleType | None = None
    ) -> None:
        self.module = module
        self.names = names
        self.twins = twins

    def __repr__(self) -> str:
        return self.module.__name__

    @property
    def classes(self) -> dict[str, type]:
        return {name: v for name in self.names if isinstance(v := self.find(name), type)}

    def find(self, name: str, owner: type | None = None, *, twin: bool = False) -> Any:
        """What `Topic.subscribe`, or `subscribe` in `owner`, is; None where there is no such."""
        first, _, rest = name.partition(".")
        found = getattr(self.twins if twin else self.module, first, None)
        if found is None and owner is not None and not rest:
            found = getattr(owner, first, None)
        return getattr(found, rest, None) if rest else found

    @cached_property
    def program(self) -> str:
        """The program of the package's docstring, with a line of dots for an example."""
        text = inspect.cleandoc(self.module.__doc__ or "")
        blocks = re.findall(r"(?:^ {4}.*\n|^\n)+", text + "\n", re.MULTILINE)
        programs = [block for block in blocks if re.search(r"^ +\.\.\.$", block, re.MULTILINE)]
        assert len(programs) == 1, f"the docstring of {self} has no program with a line of dots"
        return textwrap.dedent(programs[0]).strip() + "\n"

    def completed(self, example: str) -> str:
        """The program with an example in it."""
        return re.sub(
            r"^( +)\.\.\.$",
            lambda dots: textwrap.indent(example.rstrip("\n"), dots[1]),
            self.program,
            flags=re.MULTILINE,
        )


def output_of(example: str) -> str:
    """What the example says that it prints."""
    return "".join(f"{line}\n" for line in _OUTPUT.findall(example))


def identifiers(code: str) -> set[str]:
    """The names, and the attributes, that code uses."""
    tree = ast.parse(textwrap.dedent(code))
    nodes = list(ast.walk(tree))
    return {node.id for node in nodes if isinstance(node, ast.Name)} | {
        node.attr for node in nodes if isinstance(node, ast.Attribute)
    }


def ancestry(owner: type) -> list[type]:
    """A class of ours, and those of its bases that are."""
    return [one for one in owner.__mro__ if one.__module__.split(".")[0] in OURS]


def members(owner: type) -> Iterator[Member]:
    """The public methods, properties and attributes of a class, inherited ones included."""
    seen = set()
    for one in ancestry(owner):
        for name, value in vars(one).items():
            if not name.startswith("_") and name not in seen:
                seen.add(name)
                yield Member(owner, name, value)
        for name in _assigned(one):
            if not name.startswith("_") and name not in seen:
                seen.add(name)
                yield Member(owner, name, None)


def _assigned(owner: type) -> Iterator[str]:
    """Names of the attributes that methods of a class give to its instances."""
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(owner)))):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if (
                isinstance(target, ast.Attribute)
                and isinstance(target.value, ast.Name)
                and target.value.id == "self"
            ):
                yield target.attr


class Scope(NamedTuple):
    """Where a docstring stands, so that what it refers to can be found."""

    names: Names
    owner: type | None

    @property
    def classes(self) -> list[type]:
        """Its class, with those that it is made of, and those of its twin."""
        if self.owner is None:
            return []
        twin = getattr(self.names.twins, self.owner.__name__, None)
        return [*ancestry(self.owner), *(ancestry(twin) if twin else [])]

    def described(self, docstring: Docstring, parameter: str, *, depth: int = 3) -> str:
        """What is said of a parameter or attribute: there, in its class, or by reference."""
        texts = [docstring, *(Docstring(one.__doc__) for one in self.classes)]
        for text in texts:
            if said := text.entries("Args", "Attributes").get(parameter):
                return said
        for there, text in self._referred(docstring) if depth else ():
            if said := there.described(text, parameter, depth=depth - 1):
                return said
        return ""

    def raised(self, docstring: Docstring, *, depth: int = 3) -> str:
        """What is said of errors: there, for the whole class, or where it is referred to."""
        said = " ".join(docstring.entries("Raises")) + _free_errors(docstring)
        for one in self.classes:
            said += " " + " ".join(Docstring(one.__doc__).entries("Raises"))
        for there, text in self._referred(docstring) if depth else ():
            said += " " + there.raised(text, depth=depth - 1)
        return said

    def _referred(self, docstring: Docstring) -> Iterator[tuple["Scope", Docstring]]:
        for twin, name in docstring.references:
            target = self.names.find(name, self.owner, twin=twin)
            if target is not None:
                owner = target if isinstance(target, type) else self.owner
                yield Scope(self.names, owner), Docstring(inspect.getdoc(target))


def _free_errors(docstring: Docstring) -> str:
    """Errors that a sentence names: "Raises `MessageTooLarge` where..."."""
    return " " + " ".join(re.findall(r"[Rr]aises? `(\w+)`", docstring.text))

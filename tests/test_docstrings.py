"""Every public name says what it does, in which units, with which errors, and shows it."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bus
import bus.blocking
import presence
import storage
import storage.client
import storage.memory
import storage.tasks
from storage import StorageConfig
from tests.conftest import RedisServer, served_redis
from tests.docstrings import (
    Docstring,
    Member,
    Names,
    Scope,
    ancestry,
    identifiers,
    members,
    output_of,
)
from tests.documents import DEFAULT_URL
from tests.raising import Raising
from tests.storage.sidecars import process

BUS = Names(bus, bus.__all__)
BLOCKING = Names(bus.blocking, bus.blocking.__all__, twins=bus)
PRESENCE = Names(presence, presence.__all__)
STORAGE = Names(storage, storage.__all__)
CLIENT = Names(storage.client, ["StorageClient"])
PACKAGES = [BUS, BLOCKING, PRESENCE, STORAGE, CLIENT]

#: Not exported, and what an agent is given all the same: `StorageClient.memory` and `.tasks`.
GIVEN = [Names(storage.memory, ["Memory"]), Names(storage.tasks, ["Tasks"])]

#: Types whose attributes are one for each table, and say so together.
TABLES = [storage.Statistics]

#: What a number is measured in, or between which bounds it lies.
UNITS = re.compile(r"[Ss]econd|epoch|-?\d+( \(\w+\))? to \d|\d for the best")
#: A number, and not the numbers of a vector.
ALONE = re.compile(r"(?<!\[)\bfloat\b")
SIZES = re.compile(r"bytes|limit|buffer|prefetch|length|most_|max_|page|concurrency|permits")

#: Most lines of an example.
MOST_LINES = 14

ERRORS = {
    name: error
    for package in (bus, presence, storage)
    for name, error in vars(package).items()
    if isinstance(error, type) and issubclass(error, Exception)
}
RAISING = Raising(ERRORS | {"ValueError": ValueError})


def all_members() -> Iterator[tuple[Names, Member]]:
    for package in [*PACKAGES, *GIVEN]:
        for name in package.names:
            value = package.find(name)
            if isinstance(value, type):
                for member in members(value):
                    yield package, member
            elif callable(value):
                yield package, Member(None, name, value)


MEMBERS = list(all_members())


def shown(package: Names, member: Member) -> str:
    owner = f"{member.owner.__name__}." if member.owner else ""
    return f"{package}: {owner}{member.name}"


def test_every_class_function_and_constant_says_what_it_is() -> None:
    silent = [
        f"{package}: {name}"
        for package in [*PACKAGES, *GIVEN]
        for name in package.names
        if not said_of(package, name)
    ]
    assert silent == []


def said_of(package: Names, name: str) -> str:
    value = package.find(name)
    if isinstance(value, type) or inspect.isroutine(value):
        return value.__doc__ or ""
    for path in Path(package.module.__file__ or "").parent.rglob("*.py"):
        found = re.search(rf"((?:^#: .*\n)+){name}\b.* = ", path.read_text(), re.MULTILINE)
        if found:
            return re.sub(r"^#: ", "", found[1], flags=re.MULTILINE)
    return ""


def test_every_method_property_and_attribute_says_what_it_is() -> None:
    silent = []
    for package, member in MEMBERS:
        described = Scope(package, member.owner).described(Docstring(None), member.name)
        told = member.docstring.text.strip() or described
        if not told and member.owner not in TABLES:
            silent.append(shown(package, member))
    assert silent == []


def test_times_and_sizes_have_units() -> None:
    unclear = []
    for package, member in MEMBERS:
        scope = Scope(package, member.owner)
        for parameter, annotation in annotations(member).items():
            said = scope.described(member.docstring, parameter)
            if not said and parameter == member.name:
                said = member.docstring.text  # a property
            if ALONE.search(annotation) and not UNITS.search(said):
                unclear.append(f"{shown(package, member)}: {parameter}")
            if SIZES.search(parameter) and not said:
                unclear.append(f"{shown(package, member)}: {parameter} is not described")
            if "bytes" in parameter and "int" in annotation and "byte" not in said.lower():
                unclear.append(f"{shown(package, member)}: {parameter} in bytes")
    assert unclear == []


def annotations(member: Member) -> dict[str, str]:
    """The annotations of a callable's parameters; of a property or attribute, its own."""
    if isinstance(member.value, property):
        returned = inspect.signature(member.value.fget).return_annotation  # type: ignore[arg-type]
        return {member.name: inspect.formatannotation(returned)}
    if member.function is not None:
        return {
            name: inspect.formatannotation(parameter.annotation)
            for name, parameter in inspect.signature(member.function).parameters.items()
        }
    assert member.owner is not None
    owners = (one for one in member.owner.__mro__ if member.name in inspect.get_annotations(one))
    own = next(owners, None)
    if own is None:
        return {}
    return {member.name: inspect.formatannotation(inspect.get_annotations(own)[member.name])}


def test_errors_are_named() -> None:
    unsaid = []
    for package, member in MEMBERS:
        if member.function is None:
            continue
        said = Scope(package, member.owner).raised(member.docstring)
        unsaid += [
            f"{shown(package, member)}: {name}"
            for name in sorted(RAISING.look(member.function))
            if not re.search(rf"\b{name}\b", said)
        ]
    assert unsaid == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Queue", "At least once"),
        ("Topic", "At most once"),
        ("Lock", "Kleppmann"),
        ("Semaphore", "Kleppmann"),
        ("Election", "what `Lock` does"),
        ("OncePer", "at most one run"),
        ("Map", "refused"),
    ],
)
def test_guarantees_and_what_is_none_are_stated(name: str, words: str) -> None:
    told = [one.__doc__ or "" for one in ancestry(getattr(bus, name))]
    assert re.search(words, " ".join(" ".join(told).split()))


# examples


def example_of(package: Names, name: str) -> str:
    """The example of a name: its own, or the one that it refers to, which then uses it."""
    value = package.find(name)
    docstring = Docstring(value.__doc__ if callable(value) else said_of(package, name))
    if docstring.example:
        return docstring.example
    if docstring.see is None:
        return ""
    there = Docstring(inspect.getdoc(package.find(docstring.see))).example
    return there if there and name in identifiers(f"async def main():\n{indented(there)}") else ""


def indented(code: str) -> str:
    return "".join(f"    {line}\n" for line in code.splitlines())


def test_every_name_has_an_example_that_prints_something_and_is_short() -> None:
    wanting = []
    for package in PACKAGES:
        for name in package.names:
            example = example_of(package, name)
            if not output_of(example) or len(example.splitlines()) > MOST_LINES:
                wanting.append(f"{package}: {name}")
    assert wanting == []


def examples() -> Iterator[Any]:
    """Every example, of classes, functions, methods and constants, once."""
    for package in PACKAGES:
        seen = set()
        for name in package.names:
            value = package.find(name)
            texts = {name: value.__doc__ if callable(value) else said_of(package, name)}
            for member in members(value) if isinstance(value, type) else ():
                texts[f"{name}.{member.name}"] = member.docstring.text
            for label, text in texts.items():
                example = Docstring(text).example
                if example and example not in seen:
                    seen.add(example)
                    yield pytest.param(package, example, id=f"{package}.{label}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for the examples alone: some of them do to it what an operator should not."""
    yield from served_redis(tmp_path_factory.mktemp("docstrings"))


@pytest.fixture(scope="module")
def sidecar(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The namespace in which a sidecar writes what the examples remember."""
    place = tmp_path_factory.mktemp("sidecar")
    config = StorageConfig(
        redis_url=server.url, namespace="docstrings", sqlite_path=place / "memory.db", lease=1.0
    )
    with process(config, place / "sidecar.log"):
        yield config.namespace


@pytest.mark.parametrize(("package", "example"), list(examples()))
def test_an_example_prints_what_it_says(
    package: Names,
    example: str,
    server: RedisServer,
    namespace: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if package is CLIENT:
        namespace = request.getfixturevalue("sidecar")
    for name, value in {"HOME": str(tmp_path), "ARGENTBUS_REDIS_URL": server.url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ARGENTBUS_NAMESPACE", namespace)
    program = package.completed(example)
    told = program.replace(f'"{DEFAULT_URL}"', f'"{server.url}", namespace="{namespace}"')
    exec(compile(told, f"<example of {package}>", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out == output_of(example)

"""Search: words, vectors, both; with whatever people and models type."""
# ruff: noqa: RUF001 (other alphabets are the point)

import math
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import InvalidValue
from storage.adapter import DatabaseAdapter
from storage.fusion import fused, nearest, words_of
from storage.memory import Memory
from storage.model.values import pack_vector
from storage.sqlite.spelling import SQLiteSpelling

pytestmark = pytest.mark.anyio


@pytest.fixture
async def memory(storage: DatabaseAdapter) -> Memory:
    """Some facts of one agent."""
    memory = storage.scoped("scout").memory
    for item_id, summary, vector in (
        ("parser", "The parser is flaky on Fridays", [1, 0, 0]),
        ("parsers", "Parsers of all kinds, parser after parser", [0.9, 0.1, 0]),
        ("greek", "Ο ήλιος είναι ζεστός", [0, 1, 0]),
        ("russian", "Сервер упал ночью", [0, 1, 0.2]),
        ("german", "Die Größe der Straße", None),
        ("chinese", "服务器 昨晚 崩溃", None),
        ("code", "call foo_bar(x) AND NOT baz-qux*", [0, 0, 1]),
        ("zero", "nothing to compare", [0, 0, 0]),
    ):
        await memory.create_item(
            summary=summary, memory_type="knowledge", item_id=item_id, embedding=vector
        )
    await memory.create_item(
        summary="about x", memory_type="event", item_id="deep", lesson="zebra", reflection="quagga"
    )
    return memory


async def ids(memory: Memory, query: str, vector: list[float] | None = None) -> list[str]:
    return [hit.item.id for hit in await memory.search(query, embedding=vector)]


async def test_any_word_matches_and_the_best_comes_first(memory: Memory) -> None:
    assert await ids(memory, "parser giraffe") == ["parsers", "parser"]
    assert await ids(memory, "friday flaky parser") == ["parser", "parsers"]
    assert await ids(memory, "zebra") == await ids(memory, "quagga") == ["deep"]
    assert await ids(memory, "giraffe") == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("СЕРВЕР", "russian"),
        ("ΉΛΙΟΣ", "greek"),
        (unicodedata.normalize("NFD", "ήλιος"), "greek"),
        ("grosse straße", "german"),
        ("größe", "german"),
        ("崩溃", "chinese"),
        ("foo_bar(x)", "code"),
        ("🧀 zebra 🎉", "deep"),
    ],
)
async def test_other_languages_and_code_are_found(
    memory: Memory, query: str, expected: str
) -> None:
    assert expected in await ids(memory, query)


@pytest.mark.parametrize(
    "query",
    [
        *('"', '"parser', "'", "''; DROP TABLE memory_items; --", "parser AND NOT", "NEAR(a b, 2)"),
        *("summary: parser", "{summary} : parser", "^parser", "par*", "-parser", "parser OR"),
        *(
            "",
            "   ",
            "\n\t",
            "🎉",
            "()",
            "*",
            "%",
            "\0",
            "\\",
            "½ ² ⅷ",
            "\u200b",
            "é́́",
            "a" * 100_000,
        ),
        *("AND", "OR", "NOT", " ".join(["parser"] * 10_000), "हिन्दी", "ไทย", "مرحبا", "\ufffd"),
    ],
)
async def test_no_query_is_an_error_or_an_operator(memory: Memory, query: str) -> None:
    if "\0" in query:
        with pytest.raises(InvalidValue, match="query"):
            await memory.search(query)
        return
    found = await ids(memory, query)
    assert ("parser" in found) == ("parser" in query)


async def test_operators_are_words_like_any_other(memory: Memory) -> None:
    assert await ids(memory, "NOT") == ["code"]
    assert await ids(memory, "baz -zebra") == ["deep", "code"]


@given(st.text(max_size=50))
def test_an_expression_has_nothing_but_quoted_words(query: str) -> None:
    expression = SQLiteSpelling().any_of(words_of(query))
    for word in expression.split(" OR ") if expression else []:
        assert word[0] == word[-1] == '"'
        assert word[1:-1].isalnum()


async def test_the_nearest_come_first(memory: Memory) -> None:
    assert (await ids(memory, "", [1, 0, 0]))[:2] == ["parser", "parsers"]
    assert (await ids(memory, "", [0, 100, 0]))[:2] == ["greek", "russian"]
    assert set(await ids(memory, "", [0, 0, 0])) == {
        *("parser", "parsers", "greek", "russian", "code", "zero")
    }


async def test_both_lists_are_fused(memory: Memory) -> None:
    both = await memory.search("baz parser", embedding=[0, 0, 1])
    assert both[0].item.id == "code", "in both lists"
    scores = [hit.score for hit in both]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert {"parser", "greek"} <= {hit.item.id for hit in both}, "in either list"
    assert len(await memory.search("parser", embedding=[0, 0, 1], limit=3)) == 3
    assert await memory.search("parser", limit=0) == []


@pytest.mark.parametrize(
    ("vector", "problem"),
    [
        ([1, 2], "embedding: has 2 dimensions, and this storage keeps 3"),
        ([], "embedding: has 0 dimensions"),
        ([1, math.nan, 0], "embedding: has a NaN"),
        ([1, math.inf, 0], "embedding: has a NaN or an infinity"),
        ([1, 1e39, 0], "embedding: has a number that is too large"),
        (["1", 2, 3], "embedding: must be a list of numbers"),
        ("abc", "embedding: is a str"),
        (3, "embedding: is a int"),
    ],
)
async def test_a_wrong_vector_is_said_to_be_one(
    memory: Memory, vector: list[float], problem: str
) -> None:
    with pytest.raises(InvalidValue, match=problem):
        await memory.search("parser", embedding=vector)
    with pytest.raises(InvalidValue, match=problem):
        await memory.create_item(summary="x", memory_type="event", embedding=vector)


async def test_vectors_of_numpy_are_welcome(memory: Memory) -> None:
    hits = await memory.search("", embedding=np.array([1, 0, 0], dtype=np.float16), limit=1)  # type: ignore[arg-type]
    assert [hit.item.id for hit in hits] == ["parser"]


async def test_limits_that_are_no_numbers_are_refused(memory: Memory) -> None:
    for limit in ("5", 1.5, None):
        with pytest.raises(InvalidValue, match="limit"):
            await memory.search("parser", limit=limit)  # type: ignore[arg-type]
        with pytest.raises(InvalidValue, match="limit"):
            await memory.list_items(limit=limit)  # type: ignore[arg-type]


async def test_tasks_are_found_by_title_description_and_tags(storage: DatabaseAdapter) -> None:
    tasks = storage.scoped("scout").tasks
    made = {}
    for title, description, tags in (
        ("Fix the parser", None, []),
        ("Other", "the parser again, parser", ["urgent-ish"]),
        ("Nothing", "else", ["größe"]),
    ):
        made[title] = (await tasks.create_task(title=title, description=description, tags=tags)).id
    assert {task.title for task in await tasks.search_tasks("parser")} == {
        "Fix the parser",
        "Other",
    }
    assert [task.id for task in await tasks.search_tasks("GRÖSSE größe")] == [made["Nothing"]]
    for query in ('"', "AND", "🎉", "", "title: x"):
        assert await tasks.search_tasks(query) == []
    assert len(await tasks.search_tasks("parser", limit=1)) == 1


def test_vectors_of_another_length_are_passed_over() -> None:
    good, short = pack_vector("v", [1, 0, 0], 3), pack_vector("v", [1, 0], 2)
    assert good is not None
    assert short is not None
    assert nearest([1, 0, 0], [("short", short), ("good", good)], 5) == {"good": 1.0}
    assert nearest([1, 0, 0], [], 5) == {}


def test_fused_scores_are_standardised_over_what_either_list_has() -> None:
    assert fused({}, {}, 5, 5) == []
    assert fused({"a": 7.0}, {}, 5, 5) == [("a", 1.0)]
    full = fused({"a": 9, "b": 1}, {"b": 0.5, "c": 0.1}, 3, depth=2)
    assert full == [("a", pytest.approx(1)), ("b", pytest.approx(1)), ("c", pytest.approx(0))]
    # In a list that is not full, what is missing has none of the words.
    short = dict(fused({"a": 9, "b": 1}, {"b": 0.5, "c": 0.1}, 3, depth=100))
    assert short["b"] > short["a"]
    # One that alone has a word is not passed over, however many are near.
    near = {str(n): 0.9 - n / 1000 for n in range(100)}
    assert fused({"50": 3.0}, near, 1, depth=100) == [("50", pytest.approx(1))]

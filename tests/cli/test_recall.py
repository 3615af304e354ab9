"""`argentbus bench recall`: a file is read strictly, and what searches find is counted."""

import json
from pathlib import Path
from typing import Any

import pytest

from argentbus.bench import exam
from argentbus.errors import BadFile
from tests.shell import Shell

LINES: list[dict[str, Any]] = [
    {"memory": "m1", "text": "Ada: I moved to Oslo.", "session": "s", "time": "2026-05-01T10:00"},
    {"memory": "m2", "text": "Bob: How is it there?", "session": "s"},
    {"memory": "m3", "text": "Ada: cold and dark", "session": "s"},
    {"memory": "m4", "text": "Eve: parsers are fun", "session": "t"},
    {"memory": "m5", "text": "Eve: parsers are fun", "context": "rarely said"},
    {"question": "Where does Ada live?", "answers": ["m1"]},
    {"question": "What is fun?", "answers": ["m5", "m1"]},
]


def written(directory: Path, lines: list[Any]) -> Path:
    path = directory / "exam.jsonl"
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines))
    return path


def test_neighbours_of_the_same_session_are_the_context(tmp_path: Path) -> None:
    found = exam.read(written(tmp_path, LINES), before=2, after=1)
    texts = [line["text"] for line in LINES if "memory" in line]
    assert found.contexts == [
        texts[1],
        f"{texts[0]}\n{texts[2]}",
        f"{texts[0]}\n{texts[1]}",
        None,
        "rarely said",
    ]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["{"], "line 1"),
        ([{"memory": "m1"}], r"line 1: .*text.*it should be \{\"memory\""),
        ([{"memory": "m1", "text": "x", "time": "noon"}], "line 1: .*isoformat"),
        ([LINES[0], LINES[0]], "two memories have one id"),
        ([LINES[0], {"question": "q", "answers": ["m9"]}], "names 'm9', which is no memory"),
        ([LINES[0], {"question": "q", "answers": []}], "has no answers"),
        ([LINES[0]], "no questions"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, lines: list[Any], said: str) -> None:
    with pytest.raises(BadFile, match=said):
        exam.read(written(tmp_path, lines), 1, 1)


def test_words_are_searched_on_both_backends(shell: Shell, tmp_path: Path) -> None:
    path = written(tmp_path, LINES)
    done = json.loads(
        shell.run("bench", "recall", str(path), "--embedder", "none", "--json").stdout
    )
    assert (done["memories"], done["questions"]) == (5, 2)
    rows = {(row["way"], row["backend"]): row for row in done["rows"]}
    assert set(rows) == {
        ("BM25 of FTS5", "sqlite"),
        ("keyword", "sqlite"),
        ("keyword", "postgres"),
    }
    # Both facts about parsers are one item: it answers for the second of them.
    for backend in ("sqlite", "postgres"):
        assert rows["keyword", backend]["recall"]["5"] == pytest.approx(100)
    assert rows["BM25 of FTS5", "sqlite"]["recall"]["5"] == pytest.approx(75)
    assert rows["BM25 of FTS5", "sqlite"]["hit"]["5"] == pytest.approx(100)
    assert done["backends_differ_by"] < 1

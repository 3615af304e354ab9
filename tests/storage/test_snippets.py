"""Snippets: the best piece of a text, its words marked, whatever the text is."""
# ruff: noqa: RUF001 (other alphabets are the point)

from hypothesis import given
from hypothesis import strategies as st

from storage.memory.snippets import CUT, FARTHEST, best_piece


def marked(query: str, text: str, width: int = 200) -> str:
    return best_piece(query, {"summary": text}, width).marked("[", "]")


def test_words_are_marked_by_their_stems_whatever_their_case_and_accents() -> None:
    assert marked("parser", "Parsers of all kinds") == "[Parsers] of all kinds"
    assert marked("FLAKY, fridays!", "It is flaky on Friday.") == "It is [flaky] on [Friday]."
    assert marked("ήλιος", "Ο ΉΛΙΟΣ είναι") == "Ο [ΉΛΙΟΣ] είναι"
    assert marked("cafe", "le cafe\u0301, le café") == "le [cafe\u0301], le [café]"
    assert marked("foo_bar", "call foo_bar(x)") == "call [foo]_[bar](x)"
    assert marked("昨晚", "服务器 昨晚 崩溃") == "服务器 [昨晚] 崩溃"
    assert marked("x", "no such") == "no such"
    assert marked("", "all of it") == "all of it"
    assert marked("x", "") == ""


def test_a_long_text_is_cut_around_its_best_piece() -> None:
    filler = "lorem ipsum dolor sit amet " * 20
    text = f"parser {filler}the flaky parser fails on Fridays {filler}parser parser parser"
    piece = best_piece("flaky parser fridays", {"summary": text}, 60)
    assert "the [flaky] [parser] fails on [Fridays] " in piece.marked("[", "]")
    assert piece.text.startswith(CUT + "dolor") or piece.text.startswith(CUT + "sit")
    assert piece.text.endswith(CUT)
    assert len(piece.text) <= 62
    begin = marked("parser", f"A parser {filler}", 40)
    assert begin.startswith("A [parser] lorem")
    assert begin.endswith(CUT)
    assert marked("nothing", filler, 20) == f"lorem ipsum dolor{CUT}"
    assert marked("end", f"{filler}the end", 20) == f"{CUT}sit amet the [end]"


def test_the_best_of_several_texts_is_shown() -> None:
    texts = {"summary": "about a zebra", "reflection": "a zebra and a quagga", "lesson": "quagga"}
    for query, field in (("zebra", "summary"), ("quagga zebra", "reflection"), ("x", "summary")):
        assert best_piece(query, texts, 100).field == field
    assert best_piece("x", {}, 100) == ("", (), "")


def test_line_breaks_are_blanks_and_far_is_not_looked() -> None:
    assert marked("b", "a\r\nb\tc") == "a  [b] c"
    far = "x " * (FARTHEST // 2) + "needle"
    assert best_piece("needle", {"summary": far}, 50).marks == ()
    near = "x " * (FARTHEST // 2 - 10) + "needle"
    assert "[needle]" in marked("needle", near, 50)


def test_a_word_that_is_longer_than_the_piece_is_cut() -> None:
    assert marked("a" * 100, "b " + "a" * 100 + " c", 10) == f"{CUT}[{'a' * 10}]{CUT}"
    assert len(best_piece("x", {"summary": "漢" * 1000}, 30).text) == 31


@given(st.text(max_size=30), st.text(max_size=300), st.integers(-1, 80))
def test_any_piece_is_of_the_text_and_its_marks_are_of_words(
    query: str, text: str, width: int
) -> None:
    piece = best_piece(query, {"summary": text}, width)
    assert len(piece.text) <= max(width, 1) + 2
    behind = 0
    for start, end in piece.marks:
        assert behind <= start < end <= len(piece.text)
        assert any(one.isalnum() for one in piece.text[start:end])
        behind = end
    assert piece.marked("", "") == piece.text


@given(st.lists(st.sampled_from(["one", "two", "three", "four", "fives"]), min_size=1, max_size=60))
def test_no_piece_of_the_width_has_more_of_the_words(words: list[str]) -> None:
    text, width = " ".join(words), 24
    wanted = {"one", "three", "fives"}

    def score(part: str) -> int:
        return len(wanted.intersection(part.split()))

    best = max(
        score(text[start : start + width])
        for start in range(len(text))
        if start == 0 or text[start - 1] == " "
    )
    piece = best_piece("one three fives", {"summary": text}, width)
    assert len({piece.text[a:b] for a, b in piece.marks}) >= best

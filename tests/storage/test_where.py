"""Conditions: their placeholders come behind the statement's, whatever they are made of."""

from storage.where import EVERY, Where, all_of, any_of

STATEMENT = "SELECT 1 FROM t WHERE a = $1 {where} LIMIT $2 OFFSET $3"


def test_no_condition_leaves_no_trace() -> None:
    assert EVERY.placed(STATEMENT, 5, 6) == (
        "SELECT 1 FROM t WHERE a = $1  LIMIT $2 OFFSET $3",
        (5, 6),
    )
    assert all_of([]) == EVERY


def test_placeholders_come_behind_the_statements_but_for_the_agents() -> None:
    where = all_of([Where("b = $2 OR c = $1", (7,)), any_of([Where("d = $2 AND e = $3", (8, 9))])])
    sql, args = where.placed(STATEMENT, 5, 6)
    assert sql == (
        "SELECT 1 FROM t WHERE a = $1 AND ((b = $4 OR c = $1) AND ((d = $5 AND e = $6))) "
        "LIMIT $2 OFFSET $3"
    )
    assert args == (5, 6, 7, 8, 9)


def test_any_of_nothing_is_nothing() -> None:
    assert any_of([]).placed("{where}") == ("AND (1 = 0)", ())


def test_a_placeholder_may_be_used_twice() -> None:
    one = Where("a = $2 AND b = $2", (1,))
    assert any_of([one, one]) == Where("(a = $2 AND b = $2) OR (a = $3 AND b = $3)", (1, 1))

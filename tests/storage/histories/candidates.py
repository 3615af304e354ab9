"""Live candidates, whose facts are those of the memory items."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from storage.model.candidates import (
    Candidate,
    CreateCandidate,
    DiscardCandidate,
    ExpireCandidates,
    MergeCandidate,
    PromoteCandidate,
)
from storage.model.command import Command
from storage.parts import Scoped
from tests.storage.histories import moment

_numbers = st.integers(0, 3)
_facts = st.sampled_from(["one", "ONE ", "two", "three"])

plans = st.one_of(
    st.tuples(st.just("create candidate"), _facts, st.floats(0, 1)),
    st.tuples(st.just("promote candidate"), _numbers),
    st.tuples(st.just("merge candidate"), _numbers, _numbers),
    st.tuples(st.just("discard candidate"), _numbers),
    st.tuples(st.just("expire candidates")),
)


def command(n: int, plan: Sequence[Any]) -> Command | None:
    now = moment(n)
    match plan:
        case ("create candidate", fact, confidence):
            return CreateCandidate(
                candidate=Candidate(
                    id=f"c-{n % 4}",
                    agent_id="scout",
                    role="user",
                    candidate_type="preference",
                    fact_text=fact,
                    confidence=confidence,
                    source_ts=now,
                    expires_at=now + timedelta(seconds=3),
                    created_at=now,
                    updated_at=now,
                )
            )
        case ("promote candidate", which):
            return PromoteCandidate(
                agent_id="scout", candidate_id=f"c-{which}", item_id=f"i-{n % 7}", at=now
            )
        case ("merge candidate", which, item):
            return MergeCandidate(
                agent_id="scout", candidate_id=f"c-{which}", item_id=f"i-{item}", at=now
            )
        case ("discard candidate", which):
            return DiscardCandidate(agent_id="scout", candidate_id=f"c-{which}", at=now)
        case ("expire candidates",):
            return ExpireCandidates(agent_id="scout", at=now)
    return None


async def reads(view: Scoped) -> list[Any]:
    return [await view.memory.list_candidates(), await view.memory.list_candidates(status="merged")]

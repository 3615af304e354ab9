"""LoCoMo (Maharana et al., 2024; `data/locomo10.json` of snap-research/LoCoMo) as `argentbus bench
recall` reads it: `python benchmarks/locomo.py locomo10.json > locomo.jsonl`.
"""

import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any


def lines(conversations: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every turn of every session as a memory, and the questions with evidence among them."""
    for one in conversations:
        turns, name = one["conversation"], one["sample_id"]
        known = set()
        numbers = [int(key[8:]) for key in turns if re.fullmatch(r"session_\d+", key)]
        for number in sorted(numbers):
            began = turns[f"session_{number}_date_time"]
            said = datetime.strptime(began, "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)
            for place, turn in enumerate(turns[f"session_{number}"]):
                known.add(f"{name}/{turn['dia_id']}")
                yield {
                    "memory": f"{name}/{turn['dia_id']}",
                    "text": f"{turn['speaker']}: {turn['text']}",
                    "session": f"{name}/{number}",
                    "time": (said + timedelta(seconds=place)).isoformat(),
                }
        for asked in one["qa"]:
            # Some name several turns in one text, one with a stray colon.
            named = re.findall(r"D\d+:\d+", " ".join(asked.get("evidence", [])).replace("D:", "D"))
            answers = sorted({f"{name}/{turn}" for turn in named} & known)
            if answers:
                yield {"question": asked["question"], "answers": answers}


if __name__ == "__main__":
    for line in lines(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))):
        sys.stdout.write(json.dumps(line) + "\n")

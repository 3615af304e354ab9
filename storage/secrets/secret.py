"""A secret in the clear, which does not show itself."""

from typing import Any, NoReturn


class Secret:
    """A secret. Printed, formatted or logged it shows nothing; `reveal()` gives its text."""

    __slots__ = ("_clear",)

    def __init__(self, clear: str) -> None:
        self._clear = clear

    def reveal(self) -> str:
        """The text itself: keep it out of logs."""
        return self._clear

    def __repr__(self) -> str:
        return "Secret(...)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled: take its text with reveal()")

    def __rich_repr__(self) -> Any:
        return iter(())

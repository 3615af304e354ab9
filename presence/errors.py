"""What can go wrong while watching: one hierarchy, every error saying what to do."""


class PresenceError(Exception):
    """Base of every error that this package raises on purpose.

    Example: See `ChangesMissed`.
    """


class ChangesMissed(PresenceError):
    """A reader of changes was too slow: begin again from `roster.agents`.

    Example:
        changes = roster.changes(buffer=1)
        async with bus.join("ada"), bus.join("bob"):
            while len(roster.agents) < 2:
                await anyio.sleep(0.01)
            try:
                print(await anext(changes))
            except ChangesMissed as missed:
                assert isinstance(missed, PresenceError)
                print(sorted(roster.agents))  #> ['ada', 'bob']
    """


class TooManyViewers(PresenceError):
    """The dashboard serves as many pages as it may: close one, or try again later.

    Example:
        from contextlib import ExitStack
        from presence.web.board import MOST_VIEWERS, Board

        async with Board.open(bus) as board:
            with ExitStack() as pages:
                try:
                    for _ in range(MOST_VIEWERS + 1):
                        pages.enter_context(board.viewer())
                except TooManyViewers:  # the page is told to come back later
                    print("try again later")  #> try again later
    """

"""What can go wrong while watching: one hierarchy, every error saying what to do."""


class PresenceError(Exception):
    """Base of every error that this package raises on purpose."""


class ChangesMissed(PresenceError):
    """A reader of changes was too slow: begin again from `roster.agents`."""


class TooManyViewers(PresenceError):
    """The dashboard serves as many pages as it may: close one, or try again later."""

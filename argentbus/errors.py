"""What the command line reports in one line, with exit status 1."""


class ArgentbusError(Exception):
    """Base of every error of the command line and its servers that is foreseen."""


class EmbeddedServerFailed(ArgentbusError):
    """An embedded server did not start, or ended on its own."""


class ServiceFailed(ArgentbusError):
    """A process that was started ended at once, or did not get ready."""


class NoSuchQueue(ArgentbusError):
    """No queue of this name was ever used in the namespace."""


class NotReplayable(ArgentbusError):
    """A dead letter that cannot be put back where it came from."""


class PortTaken(ArgentbusError):
    """Something else already listens on the port that was asked for."""


class DataDirectoryUnusable(ArgentbusError):
    """The data directory cannot be made, written, or is in use by another copy."""


class NothingUp(ArgentbusError):
    """No copy runs on the data directory that was named, and no Redis was named."""


class DemoFailed(ArgentbusError):
    """The demonstration cannot be given, or did not come to its end."""


class NoSuchUser(ArgentbusError):
    """Redis has no user for this agent."""


class NothingStored(ArgentbusError):
    """There is no database yet, or not what was asked for in it."""


class NotConfirmed(ArgentbusError):
    """What cannot be undone was asked for, and nobody said yes."""


class NoValue(ArgentbusError):
    """A secret was to be stored, and there was none to read."""


class BadFile(ArgentbusError):
    """A file that was given cannot be read, or is not of the form that is asked for."""

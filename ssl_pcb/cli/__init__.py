"""The command line: names, flags and exit codes. The work is done in ``ssl_pcb.stages``.

Built on click, because flags are generated from the config classes: a help text cannot drift from a default.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from importlib import import_module

import click

from ssl_pcb import __version__
from ssl_pcb.cli.terminal import helper_process, printable
from ssl_pcb.data.files import FULL
from ssl_pcb.errors import UserError

HELPER_WAITS = 3.0
"""Seconds that a helper process leaves to the first one before it speaks itself."""

SPINS = "30000"
"""Turns that torch's threads wait for each other before they sleep. By default there are so many that two trainings on
the same cores take each other's time by waiting; with these they do not, and one alone is no slower."""

SHOWN = ("ssl_pcb", "lightning_fabric.strategies.launchers")
"""Loggers that reach the terminal; the second one says that a process died and the others are ended."""

COMMANDS = {
    "demo": ("ssl_pcb.cli.demo", "The whole job on embedded synthetic boards, in a few minutes."),
    "data": ("ssl_pcb.cli.data", "Make, import, check, split and relabel manifests; pack them, or write shards."),
    "pretrain": (
        "ssl_pcb.cli.stages",
        "Learn representations from all images, without labels: painted defects, SimCLR and others.",
    ),
    "linear-eval": ("ssl_pcb.cli.stages", "Probe a frozen backbone: logistic regression, linear head, kNN."),
    "finetune": ("ssl_pcb.cli.stages", "Train the Defective / NonDefective classifier end to end."),
    "crossval": ("ssl_pcb.cli.stages", "Train and judge the classifier fold by fold, no board on both sides."),
    "sweep": ("ssl_pcb.cli.sweep", "Many runs over options and seeds, ending in a leaderboard."),
    "evaluate": (
        "ssl_pcb.cli.evaluate",
        "Choose a line's threshold, with bounds on what escapes and what is stopped.",
    ),
    "compare": ("ssl_pcb.cli.compare", "Does one run err less than another on the same samples?"),
    "report": ("ssl_pcb.cli.report", "One page about finished runs: figures, errors, pictures; opens anywhere."),
    "review": ("ssl_pcb.cli.report", "A page to decide about suspected labels, with keys."),
    "predict": ("ssl_pcb.cli.predict", "Judge images: OK, NG or REVIEW, score and probability; exported models too."),
    "serve": ("ssl_pcb.cli.serve", "Judge images that are sent by HTTP; a page to drop them on."),
    "export": ("ssl_pcb.cli.export", "Write a run as one ONNX file that judges without torch; --int8 for a fast one."),
    "embed": ("ssl_pcb.cli.embed", "Turn images into codes: one row of numbers for each."),
    "audit": ("ssl_pcb.cli.audit", "Look for what misleads: shortcuts, copies, wrong labels, harmful views."),
    "config": ("ssl_pcb.cli.config", "Show every key of a stage's config."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module only when the command is called, so that --help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name][0]).COMMANDS[cmd_name]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="ssl-pcb")
def app() -> None:
    """Tell defective from non-defective printed circuit boards.

    Begin with 'ssl-pcb demo'; then bring your own images in with 'ssl-pcb data import'.
    """


def main() -> None:
    """Run the command line. Exit code 0: done; 2: the user can mend it; 130: interrupted; others are the command's."""
    _configure_logging()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's Ctrl-C: nothing half-written stays
    if "OMP_WAIT_POLICY" not in os.environ:  # before torch is imported
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        _refuse(" ".join(error.format_message().split()))
    except UserError as error:
        _refuse(str(error))
    except ModuleNotFoundError as error:
        if str(error.name).startswith("ssl_pcb"):
            raise
        _refuse(
            f"the package {error.name} is not installed; this command needs the 'train' extra: "
            "in the project's folder, python -m pip install -e '.[train]'"
        )
    except (KeyboardInterrupt, click.Abort):  # an Abort is a RuntimeError, so before those
        if helper_process():
            sys.exit(130)
        resumable = any(stage in sys.argv[1:2] for stage in ("pretrain", "linear-eval", "finetune", "crossval"))
        hint = "; the same command with --resume goes on" if resumable else ""
        click.echo(f"ssl-pcb: interrupted{hint}", err=True)
        sys.exit(130)
    except OSError as error:
        if error.errno not in FULL:
            raise
        named = error.filename or "the disk of the run folder or of the cache"
        _refuse(f"{named}: {error.strerror}; free some space, then go on with --resume")
    except RuntimeError as error:  # torch's own error for it would have to be imported first
        if "out of memory" not in str(error):
            raise
        _refuse("the device's memory is too small for this; lower --batch-size or --image-size")


def _refuse(message: str) -> None:
    if helper_process():  # the first process has most likely found the same: it says so and ends this one
        time.sleep(HELPER_WAITS)
    click.echo(f"ssl-pcb: error: {printable(message)}", err=True)
    sys.exit(2)


class _Stdout(logging.StreamHandler):  # type: ignore[type-arg]
    """Standard output, whose reader may go before the end, as ``head`` does: the work goes on."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Say what went wrong, but for a reader that has gone."""
        if isinstance(sys.exc_info()[1], BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
        else:
            super().handleError(record)


class _Console(logging.Formatter):
    """Lines for a terminal, which file names must not command."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line, with terminal codes written as escapes."""
        return printable(super().formatMessage(record))


def _configure_logging() -> None:
    console = _Stdout(sys.stdout)
    console.setLevel(logging.CRITICAL if helper_process() else logging.INFO)
    console.setFormatter(_Console("%(message)s"))
    # Other libraries' chatter belongs into the log file of a run.
    console.addFilter(lambda record: record.name.startswith(SHOWN))
    root = logging.getLogger()
    root.addHandler(console)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)

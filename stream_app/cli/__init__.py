"""The command `stream-app`: one file per command, imported when it is called.

A worker must not pay for what only training or the demo needs, and `stream_app` must not import
`agents`; so commands are named here by module and loaded by name.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from importlib import import_module
from importlib.metadata import version

import click
from click.shell_completion import CompletionItem

from stream_app.errors import UserError
from stream_app.observability.logging import catch_uncaught, is_json, last_words, told
from stream_app.streaming.exits import ExitCode

# Read by the BLAS of numpy when it loads. A worker has one engine thread; more than one BLAS thread
# for its small products costs several times the processor time and gains nothing.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

PROGRAM = "stream-app"
INTERRUPTED = 128 + signal.SIGINT

COMMANDS = {
    "attribution": (
        "stream_app.cli.attribution",
        "Say what became of lists: clicks and purchases by source and rank.",
    ),
    "benchmark": ("stream_app.cli.benchmark", "Measure the speed of the encoder here."),
    "broker": ("stream_app.cli.broker", "Run an embedded Apache Kafka for development."),
    "bundle": ("stream_app.cli.bundle", "Sign or verify a model release, or make keys."),
    "compile": ("stream_app.cli.compile", "Compile the encoder of a model release."),
    "dead-letters": ("stream_app.cli.dead_letters", "List or replay rejected messages."),
    "completion": ("stream_app.cli.completion", "Print what completes commands in a shell."),
    "demo": ("stream_app.cli.demo", "Stream MovieLens through Kafka and watch lists change."),
    "doctor": ("stream_app.cli.doctor", "Say what is wrong with a cluster or this machine."),
    "erase": ("stream_app.cli.erase", "Remove what is known of a user, and get a receipt."),
    "evaluate": ("stream_app.cli.evaluate", "Compare recommenders on held-out events."),
    "experiment": (
        "stream_app.cli.experiment",
        "Compare ways of making lists, each on a share of the users.",
    ),
    "explain": ("stream_app.cli.explain", "Say why a user's list is as it is."),
    "gateway": ("stream_app.cli.gateway", "Take events and give lists over HTTP."),
    "health": ("stream_app.cli.health", "Ask the worker here whether it is ready."),
    "produce": ("stream_app.cli.produce", "Send events to the clicks and purchases topics."),
    "replay-decision": (
        "stream_app.cli.replay_decision",
        "Make a past list again, and compare.",
    ),
    "request": ("stream_app.cli.request", "Ask for a list of a user, and print it."),
    "rules": ("stream_app.cli.rules", "Pin, boost, bury, exclude or limit items in lists."),
    "scenarios": ("stream_app.cli.scenarios", "Say how lists are made, while workers run."),
    "schemas": ("stream_app.cli.schemas", "Generate or check the published message schemas."),
    "status": ("stream_app.cli.status", "Say how an installation is doing."),
    "tail": ("stream_app.cli.tail", "Follow a topic and print its messages."),
    "text-encoder": (
        "stream_app.cli.text_encoder",
        "Make the encoder of item texts, or check one.",
    ),
    "topics": ("stream_app.cli.topics", "Create or check the topics."),
    "traffic": ("stream_app.cli.traffic", "Send events of made-up visits until stopped."),
    "train": ("stream_app.cli.train", "Train a model and write a bundle."),
    "verify": ("stream_app.cli.verify", "Check that nothing was lost, doubled or left behind."),
    "worker": ("agents.command", "Consume events and publish recommendations."),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name][0]).command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names from the table: Click would import every command for its help."""
        named = [
            CompletionItem(name, help=about)
            for name, (_, about) in sorted(COMMANDS.items())
            if name.startswith(incomplete)
        ]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in sorted(COMMANDS.items())])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("stream-app"), prog_name=PROGRAM)
def group() -> None:
    """A streaming real-time recommender: a click in, a fresh ranked list out."""


def main() -> None:
    """Entry point; an error becomes a line on stderr and an exit code (docs/exit-codes.md)."""
    if os.getpid() == 1:
        # The first process of a container: the kernel drops signals that have no handler there.
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    if is_json():
        catch_uncaught()
    try:
        code = group(prog_name=PROGRAM, standalone_mode=False)
    except UserError as error:
        last_words(str(error), f"stream-app: error: {error}", error.exit_code)
        code = error.exit_code
    except click.ClickException as error:
        if is_json():
            last_words(error.format_message(), "", UserError.exit_code)
        else:
            error.show()
        code = UserError.exit_code
    except click.Abort:
        print("stream-app: interrupted", file=sys.stderr)
        code = INTERRUPTED
    except Exception as error:
        code = ExitCode.PROCESSING
        if is_json():
            last_words(f"not caught: {told(error)}", "", code, error)
        else:
            traceback.print_exc()
    sys.exit(code if isinstance(code, int) else 0)

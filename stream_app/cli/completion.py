"""`stream-app completion`: what a shell needs to complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from stream_app.cli import PROGRAM, group

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_STREAM_APP_COMPLETE"
"""Where Click looks for a shell's question, made from the name of the program."""


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the completion script of SHELL (bash, zsh or fish), to be read when it starts.

    \b
    bash:  stream-app completion bash > ~/.local/share/bash-completion/completions/stream-app
    zsh:   stream-app completion zsh > ~/.zfunc/_stream-app    (with ~/.zfunc in fpath)
    fish:  stream-app completion fish > ~/.config/fish/completions/stream-app.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    completion = kind(group, {}, PROGRAM, VARIABLE)
    click.echo(completion.source_template % completion.source_vars())

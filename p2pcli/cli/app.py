"""The `p2p` application: its verbs, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import pairwise
from typing import Annotated

import typer
from typer.core import TyperGroup
from typer.main import get_command

from p2pcli import __version__
from p2pcli.cli.help import help_page
from p2pcli.cli.invocation import Invocation
from p2pcli.cli.json_line import json_line
from p2pcli.cli.native_output import open_closed_streams, without_native_output
from p2pcli.cli.verbs import Verbs
from p2pcli.errors import ExitCode, P2PError, UsageError, did_you_mean
from p2pcli.visible import visible

app = typer.Typer(
    cls=Verbs,
    name="p2p",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

HELP = help_page(
    "p2p make-pairs edges photos/ && p2p train && p2p translate film.mp4",
    """Paired datasets, trained image translators and translated films, from ordinary folders and videos.

    New here? p2p quickstart does all three on photos that come with p2p.""",
)

_MOST_SAID = 4000
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE}


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"p2p {__version__}\n")
        raise typer.Exit


@app.callback(help=HELP)
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", callback=_print_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help())


def main(args: Sequence[str] | None = None) -> int:
    """Run one command line (None: the process's own); give its exit code. Errors are one line on stderr."""
    words = _without_help_verb(sys.argv[1:] if args is None else args)
    open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A path may hold bytes that are no UTF-8; they go out as they came in.
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        _require_no_empty_words(words)
        with nullcontext() if "--debug" in words else without_native_output():
            result = get_command(app).main(
                args=words, prog_name="p2p", standalone_mode=False, obj=Invocation(tuple(words))
            )
        sys.stdout.flush()
        return result if isinstance(result, int) else int(ExitCode.OK)
    except BrokenPipeError:
        # The reader has gone (p2p recipes | head): nothing is left to say, and no flush may fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.UNEXPECTED)
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in words and not isinstance(error, (typer.TyperException, typer.Abort)):
            import traceback

            traceback.print_exception(error)
        code, message = _explain(error, words)
        if message:
            _say(message, code, as_json="--json" in words)
        return int(code)


def _require_no_empty_words(words: Sequence[str]) -> None:
    """An empty word is a shell's variable without a value; as a path it would be the current folder."""
    if "" in words:
        before = words[: words.index("")]
        raise UsageError(
            f"an empty argument after '{' '.join(['p2p', *before])}': perhaps a variable without a value. "
            "Give a value; the current folder is '.'."
        )


def _without_help_verb(words: Sequence[str]) -> list[str]:
    """`words` with `help VERB` as `VERB --help`, as many tools have it."""
    return [*words[1:], "--help"] if words and words[0] == "help" else list(words)


def _explain(error: BaseException, words: Sequence[str]) -> tuple[ExitCode, str]:
    """The exit code of an error, and the one line that says what was found, expected and to be done."""
    if isinstance(error, P2PError):
        return error.exit_code, str(error)
    if isinstance(error, typer.TyperException):
        return ExitCode.USAGE, _explain_usage(error, words)
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return ExitCode.SIGINT, ""
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        place = f" ({error.filename})" if error.filename else ""
        return (
            ExitCode.ENVIRONMENT,
            f"{error.strerror}{place}. Make room or name another -o, then run again.",
        )
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("p2pcli"):
        return ExitCode.ENVIRONMENT, (
            f"the package '{error.name}' is not installed. Install p2p with all it needs: pip install p2pcli"
        )
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        return ExitCode.ENVIRONMENT, (
            "the device ran out of memory. Use a smaller --batch-size (translate), data.size or "
            "train.batch_size (train --set), or --device cpu."
        )
    text = " ".join(str(error).split()) or "no message"
    return ExitCode.UNEXPECTED, (
        f"unexpected {type(error).__name__}: {text}. This is a defect of p2p: run again with --debug and "
        "report what it prints."
    )


def _explain_usage(error: typer.TyperException, words: Sequence[str]) -> str:
    """What the parser found wrong, with a did-you-mean, and which help to read."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else _command_of(words)
    see = f"See {path} --help."
    option = getattr(error, "option_name", None)
    if option and type(error).__name__ == "NoSuchOption":
        known = [name for param in context.command.params for name in param.opts] if context else []
        hint = _meant_option(option, [name for name in known if name.startswith("--")])
        return f"{path} has no option '{option}'.{hint} {see}"
    group = getattr(context, "command", None)
    names = group.list_commands(context) if isinstance(group, TyperGroup) and context is not None else []
    message = error.format_message().rstrip(".")
    if names and message.startswith("Missing command"):
        return f"{path} needs one of its commands: {', '.join(names)}. {see}"
    if names and message.startswith("No such command"):
        word = message.split("'")[1]
        return f"{path} has no command '{word}'. {did_you_mean(word, names)} {see}"
    if message.startswith("Missing ") and isinstance(error, typer.BadParameter) and error.param is not None:
        return f"{path} needs {error.param.opts[0].upper()}. {see}"
    if isinstance(error, typer.BadParameter) and error.param is not None and error.param.opts:
        flag = error.param.opts[0]
        given = [value for name, value in pairwise(words) if name in error.param.opts]
        found = f"{flag} {given[-1]}" if given else flag
        expected = error.message.removeprefix("Value error, ").rstrip(".")
        # The choices stand in the message alone.
        choices = re.findall(r"'([^']+)'", expected.partition(" is not one of ")[2])
        hint = did_you_mean(given[-1], choices) if given and choices else ""
        hint = f" {hint}" if hint.startswith("Did") else ""
        return f"{path} {found}: {expected[:1].lower()}{expected[1:]}.{hint} {see}"
    return f"{path}: {message[:1].lower()}{message[1:]}. {see}"


def _meant_option(option: str, flags: Sequence[str]) -> str:
    """A sentence on what an unknown option may mean, with a space before it; "" where nothing is near."""
    hint = did_you_mean(option, flags)
    if "--set" in flags and not hint.startswith("Did"):
        from p2pcli.recipe import keys_called

        keys = keys_called(option.lstrip("-").replace("-", "_"))
        hint = f"Did you mean '--set {keys[0]}=VALUE'?" if keys else hint
    return f" {hint}" if hint.startswith("Did") else ""


def _command_of(words: Sequence[str]) -> str:
    """The command that `words` begin with: "p2p make-pairs edges"."""
    path = "p2p"
    context = typer.Context(get_command(app))
    for word in words:
        group = context.command
        command = group.get_command(context, word) if isinstance(group, TyperGroup) else None
        if command is None:
            break
        context = typer.Context(command, parent=context)
        path = f"{path} {word}"
    return path


def _say(message: str, code: ExitCode, *, as_json: bool) -> None:
    line = " ".join(message.split())
    # A file's words may stand in it, at any length.
    line = line if len(line) <= _MOST_SAID else f"{line[: _MOST_SAID - 1]}…"
    sys.stderr.write(f"p2p: {visible(line)}\n")
    if as_json:
        sys.stdout.write(json_line({"exit_code": int(code), "error": line}))

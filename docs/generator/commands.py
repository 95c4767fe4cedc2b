"""The command line: every command, argument and option, from the declarations in the code."""

from __future__ import annotations

from collections.abc import Iterator

import click

from docs.generator.markdown import block, code, prose, table
from promo_sandbox.cli.main import cli

_PROGRAM = "promo-sandbox"


def page() -> str:
    return "\n\n".join(part for path, command in commands() for part in _command(path, command))


def commands(group: click.Group = cli, path: str = _PROGRAM) -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, including the commands of groups."""
    for name, command in group.commands.items():
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


def options(command: click.Command) -> Iterator[click.Option]:
    """The options of a command, without `--help`."""
    return (parameter for parameter in command.params if isinstance(parameter, click.Option) and not parameter.hidden)


def _command(path: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    yield f"## {path.removeprefix(f'{_PROGRAM} ')}"
    yield "\n".join(line.strip() for line in (command.help or "").splitlines())
    yield block("text", " ".join([path, *command.collect_usage_pieces(context)]))
    rows = [_row(option, context) for option in options(command)]
    if rows:
        yield table(("Option", "Variable", "Default", "Description"), rows)


def _row(option: click.Option, context: click.Context) -> tuple[str, ...]:
    record = option.get_help_record(context)
    assert record is not None  # only a hidden option has none
    variables = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
    return code(record[0]), ", ".join(map(code, variables)), _default(option, context), prose(option.help or "")


def _default(option: click.Option, context: click.Context) -> str:
    if not option.show_default:
        return ""
    value = option.get_default(context)
    if option.secondary_opts:
        value = (option.opts if value else option.secondary_opts)[0]
    return "" if value is None else code(str(value))

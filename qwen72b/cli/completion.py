"""
The command ``completion``: what could be typed next?

Strategy: the scripts are written from the parser itself, so that an option
cannot be missing in one of them. Each knows the commands, the options of each
command, their choices, and which options take a file.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

from .arguments import list_arguments
from .help import TOPICS
from .options import add_verbosity, build_parser

if TYPE_CHECKING:
    from .options import Commands

__all__ = ["add_parser", "run"]

_SHELLS = ("bash", "zsh", "fish")

# What files are called in the help of the commands.
_FILES = ("FILE", "PROMPTS", "ANSWERS")

# What words in the help stand for that argparse does not check.
_WORDS: dict[object, tuple[str, ...]] = {"TOPIC": TOPICS}


def add_parser(commands: Commands) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "completion",
        help="print a completion script for bash, zsh or fish",
        description="Print a completion script.",
        epilog="""\
bash:  eval "$(qwen72b completion bash)"      in ~/.bashrc
zsh:   eval "$(qwen72b completion zsh)"       in ~/.zshrc, after compinit
fish:  qwen72b completion fish | source       in ~/.config/fish/config.fish
""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=_SHELLS, help="whose script")
    add_verbosity(parser)


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    commands = _read_parser()
    script = {"bash": _bash, "zsh": _zsh, "fish": _fish}[args.shell](commands)
    args.console.line(script.rstrip("\n"))
    return 0


class _Argument(NamedTuple):
    """An option (``names`` is empty for a positional argument)."""

    names: tuple[str, ...]
    help: str
    takes_value: bool
    choices: tuple[str, ...]
    takes_file: bool


class _Command(NamedTuple):
    name: str
    help: str
    arguments: list[_Argument]

    @property
    def words(self) -> str:
        """Everything that can be typed but values of options."""
        found = [name for argument in self.arguments for name in argument.names]
        found += [word for a in self.arguments if not a.names for word in a.choices]
        return " ".join(found)

    @property
    def takes_file(self) -> bool:
        """Whether a positional argument is a file."""
        return any(argument.takes_file for argument in self.arguments if not argument.names)


def _read_parser() -> list[_Command]:
    parsers, helps = build_parser()[1:]
    return [
        _Command(
            name,
            helps[name],
            [
                _Argument(
                    tuple(action.option_strings),
                    (action.help or "") % {**vars(action), "prog": parser.prog},
                    action.nargs is None,
                    tuple(map(str, action.choices or _WORDS.get(action.metavar, ()))),
                    action.metavar in _FILES,
                )
                for action in list_arguments(parser)
            ],
        )
        for name, parser in parsers.items()
    ]


def _bash(commands: list[_Command]) -> str:
    names = "|".join(command.name for command in commands)
    values = []
    for command in commands:
        for option in command.arguments:
            if option.names and option.takes_value:
                pattern = "|".join(f"{command.name},{name}" for name in option.names)
                if option.choices:
                    reply = f'COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$cur"))'
                else:
                    reply = 'COMPREPLY=($(compgen -f -- "$cur"))' if option.takes_file else ":"
                values.append(f"        {pattern}) {reply}; return ;;\n")
    words = [
        f'        {command.name}) words="{command.words}"{" files=1" * command.takes_file} ;;\n'
        for command in commands
    ]
    return f"""\
_qwen72b() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}}
    local command=ask word words files=
    COMPREPLY=()
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case $word in {names}) command=$word; break ;; esac
    done
    case $command,$prev in
{"".join(values)}    esac
    case $command in
{"".join(words)}    esac
    if ((COMP_CWORD == 1)); then
        words="{names.replace("|", " ")} $words"
    fi
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
    if [[ $files ]]; then
        COMPREPLY+=($(compgen -f -- "$cur"))
    fi
}}
complete -F _qwen72b qwen72b
"""


def _zsh(commands: list[_Command]) -> str:
    described = " ".join(_quoted(f"{command.name}:{command.help}") for command in commands)
    names = "|".join(command.name for command in commands)
    cases = []
    for command in commands:
        specs = []
        for argument in command.arguments:
            if argument.choices:
                action = f":value:({' '.join(argument.choices)})"
            elif argument.takes_file:
                action = ":file:_files"
            else:
                action = ":value: " if argument.takes_value else ""
            text = argument.help.translate(_ZSH_SPECIALS)
            specs += [_quoted(f"*{name}[{text}]{action}") for name in argument.names]
            if not argument.names and action:
                specs.append(_quoted(f"1{action}"))
        cases.append(f"        {command.name}) _arguments -s {' '.join(specs)} ;;\n")
    return f"""\
#compdef qwen72b
_qwen72b() {{
    local command=ask
    local -a commands
    commands=({described})
    if ((CURRENT == 2)) && [[ $words[2] != -* ]]; then
        _describe command commands
        return
    fi
    case $words[2] in
        {names})
            command=$words[2]
            shift words
            ((CURRENT--))
            ;;
    esac
    case $command in
{"".join(cases)}    esac
}}
compdef _qwen72b qwen72b
"""


# Characters that end a description in the language of ``_arguments``.
_ZSH_SPECIALS = str.maketrans({"[": "(", "]": ")", ":": "\\:"})


def _fish(commands: list[_Command]) -> str:
    names = " ".join(command.name for command in commands)
    lines = ["complete -c qwen72b -f"]
    lines += [
        f"complete -c qwen72b -n __fish_is_first_token -a {command.name} -d {_quoted(command.help)}"
        for command in commands
    ]
    for command in commands:
        when = f"__fish_seen_subcommand_from {command.name}"
        if command.name == "ask":
            others = names.removeprefix("ask ")
            when = f"not __fish_seen_subcommand_from {others}"
        for argument in command.arguments:
            line = f"complete -c qwen72b -n {_quoted(when)}"
            for name in argument.names:
                line += f" -l {name[2:]}" if name.startswith("--") else f" -s {name[1:]}"
            if argument.choices:
                line += f" -xa {_quoted(' '.join(argument.choices))}"
            elif argument.takes_value and argument.names:
                line += " -rF" if argument.takes_file else " -x"
            elif argument.takes_file:
                line += " -F"
            if argument.names or argument.choices or argument.takes_file:
                lines.append(f"{line} -d {_quoted(argument.help)}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"

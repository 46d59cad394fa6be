"""`mitlgan completion SHELL`: a static script by which a shell completes commands, options and their fixed values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer


class Shell(StrEnum):
    """Shells that can complete."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


@dataclass(frozen=True)
class CommandWords:
    """What can follow a command.

    Attributes:
        path: The command's words, such as `mitlgan data split`.
        commands: Subcommands with their first line of help.
        options: Options with their help; each name on its own.
    """

    path: str
    commands: dict[str, str]
    options: dict[str, str]


def completion(context: typer.Context, shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")]) -> None:
    """Print a script that completes commands and options.

    Pressing Tab then starts no Python.

    \b
    bash: D=~/.local/share/bash-completion/completions
          mkdir -p $D && mitlgan completion bash > $D/mitlgan
    zsh:  mitlgan completion zsh > _mitlgan, in a folder of $fpath
    fish: mkdir -p ~/.config/fish/completions
          mitlgan completion fish > ~/.config/fish/completions/mitlgan.fish
    """  # noqa: D301 - typer leaves the lines of a paragraph that begins with a backspace as they are
    words = list(_walk(context.find_root().command, "mitlgan"))
    print(SCRIPTS[shell](words), end="")


def _walk(command: Any, path: str) -> Iterator[CommandWords]:
    """Yield a command and all below it."""
    children = {name: child for name, child in getattr(command, "commands", {}).items() if not child.hidden}
    options = {"--help": "Show the help and exit."}
    for parameter in command.params:
        if parameter.param_type_name == "option" and not getattr(parameter, "hidden", False):
            options |= dict.fromkeys([*parameter.opts, *parameter.secondary_opts], _first_sentence(parameter.help or ""))
    yield CommandWords(path, {name: _first_sentence(child.help or "") for name, child in children.items()}, options)
    for name, child in children.items():
        yield from _walk(child, f"{path} {name}")


def _first_sentence(text: str) -> str:
    """Return the first sentence without characters that a shell's quotes would end."""
    line = " ".join(text.split("\n\n")[0].split()).split(". ")[0].rstrip(".")
    return re.sub(r"['\"`$\\]", "", line).replace("[", "(").replace("]", ")").replace(":", " -")


def _cases(words: list[CommandWords], line: Callable[[CommandWords], str]) -> str:
    return "\n".join(f"    '{one.path}') {line(one)} ;;" for one in words)


def _bash(words: list[CommandWords]) -> str:
    paths = " ".join(f"'{one.path}'" for one in words)
    return f"""# bash completion of mitlgan
_mitlgan() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} path=mitlgan words='' index known
  for ((index = 1; index < COMP_CWORD; index++)); do
    for known in {paths}; do
      [[ "$path ${{COMP_WORDS[index]}}" == "$known" ]] && path=$known && break
    done
  done
  case $path in
{_cases(words, lambda one: f"words='{' '.join([*one.commands, *one.options])}'")}
  esac
  COMPREPLY=()
  if [[ $current == -* || ($path != 'mitlgan '* && -n $words) || -n $(compgen -W "$words" -- "$current") ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  fi
  if [[ $current != -* && $path == 'mitlgan '* ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t -O "${{#COMPREPLY[@]}}" COMPREPLY < <(compgen -f -- "$current")
  fi
}}
complete -F _mitlgan mitlgan
"""


def _zsh(words: list[CommandWords]) -> str:
    def described(values: dict[str, str]) -> str:
        return " ".join(f"'{name}:{text}'" for name, text in values.items())

    paths = " ".join(f"'{one.path}'" for one in words)
    return f"""#compdef mitlgan
_mitlgan() {{
  local path_words=mitlgan index
  local -a known commands options
  known=({paths})
  for ((index = 2; index < CURRENT; index++)); do
    (( ${{known[(Ie)$path_words $words[index]]}} )) && path_words="$path_words $words[index]"
  done
  case $path_words in
{_cases(words, lambda one: f"commands=({described(one.commands)}); options=({described(one.options)})")}
  esac
  if [[ $words[CURRENT] == -* ]]; then
    _describe 'option' options
  elif (( $#commands )); then
    _describe 'command' commands
  else
    _files
  fi
}}
if [[ $funcstack[1] == _mitlgan ]]; then
  _mitlgan "$@"
else
  compdef _mitlgan mitlgan
fi
"""


def _fish(words: list[CommandWords]) -> str:
    lines = [
        "# fish completion of mitlgan",
        "function __mitlgan_path",
        f"    set -l known {' '.join(repr(one.path) for one in words)}",
        "    set -l path mitlgan",
        "    for word in (commandline -opc)[2..-1]",
        '        contains -- "$path $word" $known; and set path "$path $word"',
        "    end",
        '    test "$path" = "$argv"',
        "end",
    ]
    for one in words:
        condition = f"-n '__mitlgan_path {one.path}'"
        lines += [f"complete -c mitlgan -f {condition} -a {name} -d '{text}'" for name, text in one.commands.items()]
        for name, text in one.options.items():
            flag = f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
            lines.append(f"complete -c mitlgan {condition} {flag} -d '{text}'")
    return "\n".join(lines) + "\n"


SCRIPTS: dict[Shell, Callable[[list[CommandWords]], str]] = {Shell.bash: _bash, Shell.zsh: _zsh, Shell.fish: _fish}

"""`recsys completion`: scripts that complete commands, settings and sections of `--help`."""

import sys
from collections.abc import Callable, Mapping, Sequence

from recsys_spark.config.job_help import COMMON_SECTIONS
from recsys_spark.config.keys import ConfigKeys
from recsys_spark.core.names import all_kinds
from recsys_spark.interface.registry import all_jobs, command_name

__all__ = ["main"]

USAGE = """usage: recsys completion bash|zsh|fish

Print a completion script. For bash:
  recsys completion bash > ~/.local/share/bash-completion/completions/recsys
For zsh, in a folder of fpath:
  recsys completion zsh > ~/.zfunc/_recsys
For fish:
  recsys completion fish > ~/.config/fish/completions/recsys.fish"""

ANSWER = ("--top", "--json", "--config", "--help", "--tables.root", "--files.root")
TOOLS: Mapping[str, Sequence[str]] = {
    "similar": ANSWER,
    "recommend": ANSWER,
    "gender": (*ANSWER, "--gender.confidence"),
    "doctor": ("--no-spark", "--config", "--help", "--tables.root", "--files.root"),
    "completion": ("bash", "zsh", "fish"),
}


def main(arguments: Sequence[str]) -> int:
    """Print the script of a shell and return the exit code."""
    if {"--help", "-h"} & set(arguments):
        print(USAGE)
        return 0
    if len(arguments) != 1 or arguments[0] not in SHELLS:
        print(f"completion: name one shell: {', '.join(SHELLS)}", file=sys.stderr)
        return 2
    print(SHELLS[arguments[0]](_words()))
    return 0


def _words() -> dict[str, list[str]]:
    """Return command -> words that may follow it."""
    keys = ConfigKeys()
    for kind in all_kinds():
        # Kinds whose libraries are not installed are left out.
        keys.get(f"models.{kind}")
    words = {name: list(words) for name, words in TOOLS.items()}
    for job in all_jobs():
        used = [
            key for key in keys if any(f"{key}.".startswith(f"{name}.") for name in (*job.settings, *COMMON_SECTIONS))
        ]
        words[command_name(job.name)] = ["--help", "--config", *(f"--{key}" for key in used)]
    return words


def _bash(words: Mapping[str, Sequence[str]]) -> str:
    cases = "\n".join(f"    {name}) words='{' '.join(found)}' ;;" for name, found in words.items())
    return f"""_recsys() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '{" ".join(words)}' -- "$word"))
    return
  fi
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  # A value, such as the path after --config, is completed as a file.
  case "$before" in --help|--json|--no-spark|[!-]*) ;; *) [ "${{word#-}}" = "$word" ] && return ;; esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _recsys recsys"""


def _zsh(words: Mapping[str, Sequence[str]]) -> str:
    cases = "\n".join(f"    {name}) compadd -- {' '.join(found)} ;;" for name, found in words.items())
    return f"""#compdef recsys
if (( CURRENT == 2 )); then
  compadd -- {" ".join(words)}
elif [[ $PREFIX != -* && ${{words[CURRENT-1]}} == --*.* || ${{words[CURRENT-1]}} == --config ]]; then
  # A value of a setting is completed as a file.
  _files
else
  case ${{words[2]}} in
{cases}
  esac
fi"""


def _fish(words: Mapping[str, Sequence[str]]) -> str:
    lines = [f"complete -c recsys -n __fish_use_subcommand -f -a '{' '.join(words)}'"]
    for name, found in words.items():
        seen = f"-n '__fish_seen_subcommand_from {name}'"
        plain = [word for word in found if not word.startswith("--")]
        lines += [f"complete -c recsys {seen} -f -a '{' '.join(plain)}'"] if plain else []
        lines += [f"complete -c recsys {seen} -a '{word}'" for word in found if word.startswith("--")]
    return "\n".join(lines)


SHELLS: Mapping[str, Callable[[Mapping[str, Sequence[str]]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}

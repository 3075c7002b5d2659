"""Completion of `medssl` in a shell: commands, their flags, the configs that come with it, formats, file names."""

from collections.abc import Collection
from pathlib import Path

SCRIPT = r"""# in ~/.bashrc: eval "$(medssl --completion)"
# in ~/.zshrc: autoload -U compinit bashcompinit && compinit && bashcompinit && eval "$(medssl --completion)"
_medssl() {
  local IFS=$'\n' word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  # Bash takes = for a word of its own.
  [ "$before" = = ] && before=${COMP_WORDS[COMP_CWORD-2]}= || before=$before${word%%[!=]*}
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -S ' ' -W 'COMMANDS' -- "$word"))
  elif [ "$before" = --config= ]; then
    COMPREPLY=($(compgen -S ' ' -W 'CONFIGS' -- "${word#=}"))
  elif [ "${word%%=*}=" = --config= ]; then  # zsh does not
    COMPREPLY=($(compgen -P --config= -S ' ' -W 'CONFIGS' -- "${word#--config=}"))
  elif [ "$before" = --formats= ]; then
    word=${word#=}
    COMPREPLY=($(compgen -P "${word%"${word##*,}"}" -W 'FORMATS' -- "${word##*,}"))
  elif [ "${word%%=*}=" = --formats= ]; then
    word=${word#--formats=}
    COMPREPLY=($(compgen -P "--formats=${word%"${word##*,}"}" -W 'FORMATS' -- "${word##*,}"))
  elif [ "${word:0:1}" = - ]; then
    # A flag that is on or off stands alone; the others take a value.
    COMPREPLY=($(compgen -W "$(medssl "${COMP_WORDS[1]}" --help 2>/dev/null | sed -n \
      -e '/^  --help: /{s/: .*/ /;s/^  //p;d;}' \
      -e '/^  --version: /{s/: .*/ /;s/^  //p;d;}' \
      -e "/(default: 'true')$/{s/: .*/ /;s/^  //p;d;}" \
      -e "/(default: 'false')$/{s/: .*/ /;s/^  //p;d;}" \
      -e 's/^  \(--[a-z0-9_]*\): .*/\1=/p')" -- "$word"))
  fi
}
complete -o default -o nospace -F _medssl medssl
"""


def script(commands: Collection[str], configs: Path) -> str:
    """What a shell evaluates to complete `medssl`; `configs` is the folder of those that `--config` finds."""
    from medssl_jax.report.nodules.result_files import FILE_OF_FORMAT  # the entry itself needs nothing but Python

    names = sorted(f"configs/{path.relative_to(configs)}" for path in configs.glob("**/[!_]*.py"))
    words = {"COMMANDS": commands, "CONFIGS": names, "FORMATS": FILE_OF_FORMAT}
    text = SCRIPT
    for place, each in words.items():
        text = text.replace(place, "\n".join(each))
    return text

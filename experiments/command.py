"""How every command starts: flags parsed strictly, an `InputError` shown as one line, exit status 2."""

import difflib
import gc
import importlib.metadata
import io
import os
import runpy
import select
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from absl import app, flags, logging
from etils import epy
from ml_collections import ConfigDict, config_flags

from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import fate_of
from medssl_jax.train.preemption import PREEMPTED_STATUS, Preempted, leave_when_told, wait_while_leaving

with epy.lazy_imports():  # evaluate and --help need no JAX
    import jax

    from experiments.configs import own
    from medssl_jax.parallel import determinism, hosts
    from medssl_jax.plan import topology
    from medssl_jax.train import compilation_cache

BAD_INPUT_STATUS = 2
EXPERIMENTS = Path(__file__).parent
RAW_DATA_FIELDS = ("manual_dir", "options.labels", "options.labelled_list", "options.lungs")
NEW_OBJECTS = 10_000  # before Python's collector looks for rubbish: of what is imported and traced nearly all stays


def run(main: Callable[[Sequence[str]], None]) -> None:
    """Parses flags and runs `main(argv)`; an `InputError` becomes one line on stderr and exit status 2.

    SIGTERM ends it with status 75, saved where there is something to save, Ctrl-C with status 130; each in one line.
    Where whoever reads the output goes away, as `| head` does, it ends with status 1 and no word.
    """

    def guarded(argv: Sequence[str]) -> None:
        try:
            try:
                main(argv)
                sys.stdout.flush()
            finally:
                wait_while_leaving()
        except InputError as error:
            fail(str(error))
        except BrokenPipeError:
            if _is_read(sys.stdout) and _is_read(sys.stderr):
                raise  # another pipe broke, such as one to a process of ours
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python says it again at its end
            sys.exit(1)
        except Preempted as notice:
            print(notice, file=sys.stderr, flush=True)
            sys.exit(PREEMPTED_STATUS)

    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file name may hold bytes that are no text, and work must not be lost over telling of it.
        sys.stdout.reconfigure(errors="backslashreplace")
    gc.set_threshold(NEW_OBJECTS)
    logging.set_verbosity(logging.ERROR)  # Orbax and TFDS tell of their doings; what concerns the user we say ourselves
    leave_when_told()
    app.run(guarded, flags_parser=_parse_flags)


def define_config_flag() -> flags.FlagHolder[Any]:
    """`--config=FILE.py[:argument]`, looked up in the working directory, then in `experiments/`.

    Any field is overridden as in `--config.steps=100`.
    """
    return config_flags.DEFINE_config_file("config", None, "A config, such as configs/phantom.py.", lock_config=True)


def define_deterministic_flag() -> flags.FlagHolder[Any]:
    """`--deterministic`, off unless given: it costs time on a GPU, and changes nothing elsewhere."""
    return flags.DEFINE_bool(
        "deterministic", False, "The same bits from every run on the same kind of GPU, for some loss of speed."
    )


def define_compilation_cache_flag() -> flags.FlagHolder[Any]:
    """`--compilation_cache`, on unless `--nocompilation_cache` is given."""
    return flags.DEFINE_bool(
        "compilation_cache", True, "Compiled programs are kept in your cache folder, so that the next start is quick."
    )


def expect_paths(*names: str) -> None:
    """Raises `InputError` for the first of these flags whose file or folder is not there or out of reach.

    Called before anything heavy is imported: a path is mistyped more often than anything else.
    """
    for name in names:
        _expect_there(name, flags.FLAGS[name].value)


def expect_data_of_config(config: ConfigDict, workdir: Path) -> None:
    """Raises `InputError` for the first override of a path to raw data which is not there, before heavy imports.

    A data set that is prepared may have lost its raw files, and a phantom's are yet to be written.
    """
    overrides = config_flags.get_override_values(flags.FLAGS["config"])
    data = config.get("data") or {}
    prepared = Path(data.get("data_dir") or workdir / own.FOLDERS["data.data_dir"])
    for section, part in {"data": data, "data.extra": data.get("extra") or {}}.items():
        if part.get("phantom") is not None or (prepared / part.get("data_set", "lks")).is_dir():
            continue
        for field in RAW_DATA_FIELDS:
            name = f"{section}.{field}"
            _expect_there(f"config.{name}", overrides.get(name))


def _expect_there(flag: str, path: str | None) -> None:
    if not path:
        return
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"--{flag}={path}: no such file or folder{_nearest_there(Path(path))}") from None
    except OSError as error:
        raise InputError(
            f"--{flag}={path}: cannot be looked at ({error.strerror}), expected a file or folder that can be read"
        ) from None


def start_devices(*, keep_programs: bool, deterministic: bool = False, shared: bool = False) -> None:
    """Makes ready to compute on devices, as the flags ask for; comes before any use of JAX.

    A `shared` run joins its other processes. Raises `InputError` where JAX has no device of the kind it is told to use.
    """
    topology.answer_for_absent_tpu()
    if deterministic:
        determinism.make_deterministic()
    if shared:
        hosts.connect()
    if keep_programs:
        compilation_cache.keep_programs()
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # a plugin that is not installed has no other word in JAX
        told = " ".join(str(error).split()) or "there is no such device"
        asked = os.environ.get("JAX_PLATFORMS")
        raise InputError(
            f"JAX_PLATFORMS: found {asked or 'nothing'}, with which JAX cannot compute ({told}); expected the kind of "
            "a device that is here, or nothing: `medssl doctor` says what mends it"
        ) from error


def fail(message: str) -> None:
    """Prints `message` as the one line a user sees and exits with status 2."""
    print(f"error: {message}", file=sys.stderr, flush=True)
    sys.exit(BAD_INPUT_STATUS)


def load_config(path: str) -> ConfigDict:
    """The config in `FILE.py[:argument]`, looked up as `--config` is.

    Raises `InputError` where there is none, the file is no Python, raises an error or gives something else.
    """
    file, _, argument = _resolve(path).partition(":")
    try:
        get_config = runpy.run_path(file).get("get_config")
        if not callable(get_config):
            raise InputError(f"config {file}: has no function get_config, expected one that returns a ConfigDict")
        config = get_config(argument) if argument else get_config()
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # whatever somebody's file does
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"config {path}: cannot be loaded ({reason}): correct the file") from error
    if not isinstance(config, ConfigDict):
        raise InputError(f"config {file}: get_config gives a {type(config).__name__}, expected a ConfigDict")
    return config


def require_config_of(command: str, config: ConfigDict) -> None:
    """Raises `InputError` for a config of another command, such as one of SOS where FocalMix's is wanted."""
    found = config.get("command")
    if found != command:
        raise InputError(
            f"config field command is {'absent' if found is None else found}, expected {command}: give a config of it"
        )


def _parse_flags(argv: Sequence[str]) -> list[str]:
    """Absl's parser, but a config is also found in `experiments/`, and what is wrong is said in one line."""
    asked = {argument.partition("=")[0] for argument in argv[1:]}
    if asked & {"-h", *_either("help"), *_either("helpfull"), *_either("helpshort")}:
        print(_help())
        sys.exit()
    if asked & set(_either("version")):
        print(f"medssl_jax {importlib.metadata.version('medssl-jax')}")
        sys.exit()
    try:
        argv = [_find_config(argument) for argument in _joined(argv)]
        _expect_flags_alone(argv[1:])
        for argument in argv:
            if argument.startswith(_either("config=")):
                load_config(argument.partition("=")[2])
        return flags.FLAGS(argv)
    except InputError as error:
        fail(str(error))
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError, ImportError) as error:
        # ml_collections tells of a field that the config does not have in many ways.
        fail(_unknown_field(argv) or " ".join(str(error).split()))
    raise AssertionError("fail() exits")


def _nearest_there(path: Path) -> str:
    """What to do about an absent path: the nearest name beside it, or where it was looked for."""
    try:
        beside = [each.name for each in path.parent.iterdir()]
    except OSError:
        beside = []
    nearest = difflib.get_close_matches(path.name, beside, n=1)
    if nearest:
        return f", did you mean {path.with_name(nearest[0])}?"
    return ": correct it" if path.is_absolute() else f" from {Path.cwd()}: correct it"


def _expect_flags_alone(argv: Sequence[str]) -> None:
    """Raises `InputError` for a word that is neither a flag nor the value of the one before it."""
    known, takes_next = flags.FLAGS, False
    for word in argv:
        if takes_next:
            takes_next = False
        elif word.startswith("-") and len(word) > 1:
            name = word.lstrip("-").partition(".")[0]  # of --config.steps it is config
            takes_next = "=" not in word and name in known and not known[name].boolean
        else:
            meant = [name for name in (("config",) if ".py" in word else ("input", "run")) if name in known]
            hint = f"did you mean --{meant[0]}={word}?" if meant else "options are --name=value, see --help"
            raise InputError(f"unexpected argument {word!r}: {hint}")


def _is_read(stream: TextIO) -> bool:
    """False where whoever read the stream has gone."""
    poll = select.poll()
    poll.register(stream, 0)  # errors are told unasked
    return not poll.poll(0)


def _either(name: str) -> tuple[str, str]:
    """A flag's two spellings."""
    return f"--{name}", f"-{name}"


def _help() -> str:
    """The purpose of the command, and the flags that it and this package define."""
    module = sys.modules["__main__"]
    by_module = flags.FLAGS.flags_by_module_dict()
    own = {name: found for name, found in by_module.items() if name == sys.argv[0] or name.startswith("experiments.")}
    lines = [str(module.__doc__).strip(), ""]
    for flag in sorted((flag for found in own.values() for flag in found), key=lambda flag: flag.name):
        default = "" if flag.default is None else f" (default: {flag.default_as_str})"
        lines.append(f"  --{flag.name}: {flag.help}{default}")
    if "config" in flags.FLAGS:
        lines.append("  --config.FIELD=VALUE: overrides any field of the config, such as --config.steps=100")
    return "\n".join([*lines, "  --help: this page", "  --version: the version of medssl_jax"])


def _joined(argv: Sequence[str]) -> list[str]:
    """`--config FILE` as `--config=FILE`."""
    rest = iter(argv)
    return [f"--config={next(rest, '')}" if each in _either("config") else each for each in rest]


def _find_config(argument: str) -> str:
    if not argument.startswith(_either("config=")):
        return argument
    name, path = argument.split("=", 1)
    return f"{name}={_resolve(path)}"


def _resolve(path: str) -> str:
    file, colon, extra = path.partition(":")
    for folder in (Path(), EXPERIMENTS):
        if (folder / file).is_file():
            return f"{folder / file}{colon}{extra}"
    known = sorted(str(path.relative_to(EXPERIMENTS)) for path in EXPERIMENTS.glob("configs/**/[!_]*.py"))
    nearest = difflib.get_close_matches(file, known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else "there are: " + ", ".join(known)
    raise InputError(f"config {file}: no such file here or in the folder experiments; {hint}")


def _unknown_field(argv: Sequence[str]) -> str | None:
    """The message about the first override of a field that the config does not have; None where there is none."""
    path = next((argument.partition("=")[2] for argument in argv if argument.startswith(_either("config="))), None)
    if path is None:
        return None
    names = list(_names(load_config(path)))
    for argument in argv:
        field = argument.lstrip("-").partition("=")[0].removeprefix("config.")
        if argument.startswith(_either("config.")) and field.partition("[")[0] not in names:
            return f"--config.{field}: {fate_of(field, names)}"
    return None


def _names(config: ConfigDict, prefix: str = "") -> Iterator[str]:
    """Of all sections and fields."""
    for name, value in config.items():
        yield f"{prefix}{name}"
        if isinstance(value, ConfigDict):
            yield from _names(value, f"{prefix}{name}.")

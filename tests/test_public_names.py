"""The names that subpackages export hold the conventions of CONTRIBUTING."""

import ast
import importlib
import importlib.metadata
import inspect
import pkgutil
import re
import textwrap
import typing
from pathlib import Path

import jax
import numpy as np

import medssl_jax

PUBLIC = {
    f"{package.name}.{name}": getattr(module, name)
    for package in pkgutil.iter_modules(medssl_jax.__path__)
    for module in [importlib.import_module(f"medssl_jax.{package.name}")]
    for name in getattr(module, "__all__", ())
}
CLASSES = {name: thing for name, thing in PUBLIC.items() if inspect.isclass(thing)}


def methods(cls):
    """The public methods that a class writes itself, its call, and the functions behind its properties."""
    for name, member in vars(cls).items():
        function = getattr(member, "fget", None) or getattr(member, "func", None) or getattr(member, "__func__", member)
        if inspect.isfunction(function) and (name == "__call__" or not name.startswith("_")):
            function = inspect.unwrap(function)
            if function.__module__ == cls.__module__:
                yield f"{cls.__name__}.{name}", function


FUNCTIONS = {name: inspect.unwrap(thing) for name, thing in PUBLIC.items() if inspect.isfunction(thing)}
FUNCTIONS |= {name: function for cls in CLASSES.values() for name, function in methods(cls)}


CLASSES_BY_NAME = {cls.__name__: cls for cls in CLASSES.values()}


def room_of(thing):
    return thing.__module__.split(".")[1]


def arrays_without_shape(annotation):
    """The arrays in an annotation whose kind and shape stand nowhere."""
    parts = typing.get_args(annotation)
    return [annotation] * (annotation in (np.ndarray, jax.Array)) + [
        array for part in parts for array in arrays_without_shape(part)
    ]


def parameters_of(function):
    return inspect.signature(function).parameters.values()


def errors_raised(function):
    """The names of the errors that the body of a function raises itself."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    raised = (node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise))
    return {each.func.id for each in raised if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)}


def test_the_version_is_that_of_the_package_and_of_the_citation():
    assert medssl_jax.__version__ == importlib.metadata.version("medssl-jax")
    assert f"\nversion: {medssl_jax.__version__}\n" in (Path(__file__).parents[1] / "CITATION.cff").read_text()


def test_the_rooms_of_arrays_and_files_export_their_names():
    rooms = {name.partition(".")[0] for name in PUBLIC}
    assert {"core", "imaging", "detection", "losses", "ssl", "metrics", "models"} <= rooms


def constructors(cls):
    """What a class itself does when it is made."""
    functions = (vars(cls)[name] for name in ("__init__", "__post_init__") if name in vars(cls))
    return [each for each in functions if each.__code__.co_filename == inspect.getsourcefile(cls)]


def test_all_have_docstrings():
    assert [name for name, cls in CLASSES.items() if not vars(cls).get("__doc__")] == []
    assert [name for name, function in FUNCTIONS.items() if not function.__doc__] == []


def lines_without(pattern, things):
    """The names of things in whose docstring, or that of their class or module, the pattern is not found."""
    for name, thing in things.items():
        owner = CLASSES_BY_NAME.get(name.partition(".")[0])
        docs = (thing.__doc__, owner and owner.__doc__, inspect.getmodule(thing).__doc__)
        if not re.search(pattern, " ".join(filter(None, docs))):
            yield name


def test_methods_name_their_source():
    """A paper, LUNA16's rules, or our own choice."""
    methods_rooms = ("detection", "losses", "metrics", "models", "ssl")
    here = {name: each for name, each in (FUNCTIONS | CLASSES).items() if room_of(each) in methods_rooms}
    source = r"arXiv|et al\.|[Ee]quation|paper|LUNA16|Efron|[Oo]ur (choice|own)"
    assert list(lines_without(source, here)) == []


def test_lengths_and_pixels_have_a_unit():
    """In the name of the parameter or in words."""
    unit = r"mm|voxel|\bHU\b|_hu\b|grey|pixel"
    spatial = r"box|centre|spacing|diameter|origin|volume|voxel|window|patches|side|image"
    asked = {}
    for name, function in FUNCTIONS.items():
        for each in parameters_of(function):
            if re.search(spatial, each.name) and not re.search(unit, each.name):
                asked[name] = function
    assert len(asked) > 20
    assert list(lines_without(unit, asked)) == []


def test_options_are_keyword_only():
    parameters = [(name, each) for name, function in FUNCTIONS.items() for each in parameters_of(function)]
    optional = [(name, each) for name, each in parameters if each.default is not each.empty]
    assert [f"{each.name} of {name}" for name, each in optional if each.kind != each.KEYWORD_ONLY] == []


def test_arrays_have_their_shapes_in_annotations():
    annotated = [(name, function.__annotations__) for name, function in FUNCTIONS.items()]
    annotated += [(name, inspect.get_annotations(cls)) for name, cls in CLASSES.items()]
    fields = [(f"{field} of {name}", each) for name, annotations in annotated for field, each in annotations.items()]
    assert [field for field, each in fields if arrays_without_shape(each) and not field.startswith("key of ")] == []


def test_errors_that_are_raised_stand_in_docstrings():
    documented = [(name, function.__doc__, function) for name, function in FUNCTIONS.items()]
    documented += [(name, cls.__doc__, each) for name, cls in CLASSES.items() for each in constructors(cls)]
    errors = [(name, doc, error) for name, doc, function in documented for error in errors_raised(function)]
    assert [f"{error} of {name}" for name, doc, error in errors if error not in doc] == []

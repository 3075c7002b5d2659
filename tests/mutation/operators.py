"""Small faults in the source of a module: one change a mutant, at the places where a slip of the pen would be.

Left out are docstrings, annotations, decorators, assertions for the type checker, messages of errors and what is
printed: no test should hold on to them.
"""

import ast
import dataclasses
import itertools

COMPARISONS = {
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "==": ("!=",),
    "!=": ("==",),
    "in": ("not in",),
    "not in": ("in",),
    "is": ("is not",),
    "is not": ("is",),
}
ARITHMETIC = {
    "+": "-",
    "-": "+",
    "*": "/",
    "/": "*",
    "//": "/",
    "%": "*",
    "**": "*",
    "&": "|",
    "|": "&",
    "^": "|",
    "<<": ">>",
    ">>": "<<",
}
PAIRS = [
    ("min", "max"),
    ("minimum", "maximum"),
    ("argmin", "argmax"),
    ("any", "all"),
    ("sum", "mean"),
    ("zeros", "ones"),
    ("zeros_like", "ones_like"),
    ("floor", "ceil"),
    ("startswith", "endswith"),
]
NAMES = dict(PAIRS) | {b: a for a, b in PAIRS} | {"prod": "sum", "rint": "floor", "round": "floor"}
TOKENS = {
    **{ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="},
    **{ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not"},
    **{ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**"},
    **{ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>"},
    **{ast.And: "and", ast.Or: "or", ast.Not: "not ", ast.USub: "-", ast.Invert: "~"},
}
# A method that is forgotten leaves the value it was called on, a function its first argument.
METHODS = {
    *("abs", "all", "any", "astype", "clip", "copy", "lower", "lstrip", "max", "mean", "min", "ravel", "removeprefix"),
    *("removesuffix", "reshape", "resolve", "round", "rstrip", "sort", "strip", "sum", "swapaxes", "transpose"),
    *("upper"),
}
# Of these the first argument alone would be no slip: it is another kind of thing, or the same.
OTHER_KIND = {
    *("arange", "array", "asarray", "checkpoint", "cond", "device_put", "dict", "empty", "enumerate", "eval_shape"),
    *("fromfile", "full", "getattr", "grad", "hasattr", "isinstance", "iter", "jit", "len", "linspace", "list", "load"),
    *(
        "loads",
        "map",
        "memmap",
        "next",
        "ones",
        "open",
        "partial",
        "range",
        "remat",
        "scan",
        "shard_map",
        "str",
        "super",
    ),
    *("switch", "tuple", "value_and_grad", "vmap", "zeros", "zip"),
}
SAYS = {"print", "say", "warn", "TypeVar", "ContextVar", "InputError", "ValueError"}


@dataclasses.dataclass(frozen=True)
class Mutant:
    """`before` and `after` are the lines that differ; `lines` those of the statement, one of which runs if it does."""

    path: str
    function: str
    before: str
    after: str
    lines: tuple[int, int] = dataclasses.field(compare=False)
    source: str = dataclasses.field(compare=False, repr=False)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What names it as long as its lines stay as they are, wherever they move to."""
        return self.path, self.function, self.before, self.after


def mutants_of(path: str, source: str) -> list[Mutant]:
    """All mutants of a module, in the order of its lines. What would not compile or changes nothing is left out."""
    finder = _Finder(source)
    found = {}
    for outermost in ast.parse(source).body:
        # Only what stands alone in the module is parsed again: parsing all of it for each mutant took a minute.
        first, last = finder.start(outermost), finder.end(outermost)
        original = ast.dump(ast.parse(finder.data[first:last]))
        finder.edits.clear()
        finder.visit(outermost)
        for function, lines, start, end, text in sorted(finder.edits, key=lambda edit: edit[2:]):
            mutated = finder.data[:start] + text.encode() + finder.data[end:]
            try:
                if ast.dump(ast.parse(mutated[first : len(mutated) - len(finder.data) + last])) == original:
                    continue
            except SyntaxError:
                continue
            before, after = _changed_lines(finder.data, mutated, start, end, len(text.encode()))
            mutant = Mutant(path, function, before, after, lines, mutated.decode())
            found.setdefault(mutant.key, mutant)
    return list(found.values())


def _changed_lines(old, new, start, end, length):
    first = old.rfind(b"\n", 0, start) + 1

    def lines(text, stop):
        last = text.find(b"\n", stop)
        return "\n".join(line.strip() for line in text[first : last if last >= 0 else None].decode().splitlines())

    return lines(old, end), lines(new, start + length)


class _Finder(ast.NodeVisitor):
    """Collects `(function, lines, start, end, text)`: the bytes from `start` to `end` become `text`."""

    def __init__(self, source: str):
        self.data = source.encode()
        self.edits: list[tuple[str, tuple[int, int], int, int, str]] = []
        self._line_starts = [0, *itertools.accumulate(len(line) for line in self.data.splitlines(keepends=True))]
        self._names: list[str] = []
        self._modules: set[str] = set()
        self._lines = (0, 0)

    def start(self, node):
        return self._line_starts[node.lineno - 1] + node.col_offset

    def end(self, node):
        return self._line_starts[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node):
        return self.data[self.start(node) : self.end(node)].decode()

    def _edit(self, start, end, text):
        self.edits.append((".".join(self._names), self._lines, start, end, text))

    def _replace(self, node, text):
        self._edit(self.start(node), self.end(node), text)

    def _swap_between(self, left, right, old, new):
        start, end = self.end(left), self.start(right)
        gap = self.data[start:end].decode()
        self._edit(start, end, gap.replace(old, new, 1))

    # Where a mutant lies

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.stmt) and not hasattr(node, "body"):
            self._lines = (node.lineno, node.end_lineno or node.lineno)
        super().visit(node)

    def _visit_header(self, *expressions: ast.AST | None) -> None:
        for each in filter(None, expressions):
            if isinstance(each, ast.expr):
                self._lines = (each.lineno, each.end_lineno or each.lineno)
            self.visit(each)

    def _visit_body(self, *bodies: list[ast.stmt]) -> None:
        for statement in itertools.chain(*bodies):
            self.visit(statement)

    def visit_Import(self, node: ast.Import) -> None:
        self._modules |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self._modules |= {alias.asname or alias.name for alias in node.names}

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_header(*node.args.defaults, *node.args.kw_defaults)
        self._names.append(node.name)
        self._visit_body(node.body)
        self._names.pop()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._names.append(node.name)
        self._visit_body(node.body)
        self._names.pop()

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Assert(self, node: ast.Assert) -> None:
        pass

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg != "strict":  # an assertion
            self.visit(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        pass  # messages, mostly, and Python 3.11 does not know where its parts lie

    # Statements

    def visit_Assign(self, node: ast.Assign) -> None:
        if not self._names and isinstance(node.value, ast.Subscript):
            return  # the name of a type
        target = node.targets[0]
        names = {each.id for each in ast.walk(node.value) if isinstance(each, ast.Name)}
        if isinstance(target, ast.Attribute | ast.Subscript) or (isinstance(target, ast.Name) and target.id in names):
            self._replace(node, "pass")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._replace(node, "pass")
        token = TOKENS[type(node.op)]
        if token in ARITHMETIC:
            self._swap_between(node.target, node.value, token, ARITHMETIC[token])
        self.visit(node.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return  # a docstring, or the dots of a protocol
        if isinstance(node.value, ast.Call) and not self._says(node.value):
            self._replace(node, "pass")
        self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._replace(node, "pass")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._replace(node, "pass")

    def visit_Break(self, node: ast.Break) -> None:
        self._replace(node, "pass")

    def visit_If(self, node: ast.If) -> None:
        self._visit_condition(node)

    def visit_While(self, node: ast.While) -> None:
        self._visit_condition(node)

    def _visit_condition(self, node):
        if "__name__" in self._text(node.test):
            return
        self._lines = (node.test.lineno, node.test.end_lineno or node.test.lineno)
        self._negate(node.test)
        self._visit_header(node.test)
        self._visit_body(node.body, node.orelse)

    def visit_For(self, node: ast.For) -> None:
        self._visit_header(node.iter)
        self._visit_body(node.body, node.orelse)

    def visit_With(self, node: ast.With) -> None:
        self._visit_header(*(item.context_expr for item in node.items))
        self._visit_body(node.body)

    def visit_Try(self, node: ast.Try) -> None:
        self._visit_body(node.body)
        for handler in node.handlers:
            if isinstance(handler.type, ast.Tuple):
                self._lines = (handler.lineno, handler.type.end_lineno or handler.lineno)
                self._drop_each(handler.type.elts)
            self._visit_body(handler.body)
        self._visit_body(node.orelse, node.finalbody)

    # Expressions

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for (left, right), operator in zip(itertools.pairwise(operands), node.ops, strict=True):
            for other in COMPARISONS[TOKENS[type(operator)]]:
                self._swap_between(left, right, TOKENS[type(operator)], other)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        token = TOKENS.get(type(node.op))
        if token in ARITHMETIC:
            self._swap_between(node.left, node.right, token, ARITHMETIC[token])
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        token, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in itertools.pairwise(node.values):
            self._swap_between(left, right, token, other)
        self._drop_each(node.values)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if not self._text(node).startswith("-1"):  # the last axis, of two often
            self._edit(self.start(node), self.start(node) + len(TOKENS.get(type(node.op), "")), "")
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        for branch in (node.body, node.orelse):
            self._replace(node, f"({self._text(branch)})")
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for condition in node.ifs:
            self._replace(condition, "True")
            self._negate(condition)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.visit(node.value)
        if not (isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)):
            self.visit(node.slice)

    def visit_Slice(self, node: ast.Slice) -> None:
        for bound in filter(None, (node.lower, node.upper)):
            self._replace(bound, "")
            if not isinstance(bound, ast.Constant):
                self._replace(bound, f"{self._text(bound)} + 1")
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load) and node.id in {"min", "max", "any", "all", "round"}:
            self._replace(node, NAMES[node.id] if node.id != "round" else "int")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in NAMES:
            end = self.end(node)
            self._edit(end - len(node.attr), end, NAMES[node.attr])
        self.visit(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        match node.value:
            case bool():
                texts = [str(not node.value)]
            case int():
                texts = [str(node.value + 1), str(node.value - 1)]
            case float():
                texts = [repr(node.value + 1), repr(-node.value)]
            case str() if " " not in node.value:
                texts = [repr(f"XX{node.value}")]
            case bytes():
                texts = [repr(b"XX" + node.value)]
            case _:
                texts = []
        for text in texts:
            self._replace(node, text)

    def visit_Call(self, node: ast.Call) -> None:
        if self._says(node):
            return
        arguments = sorted([*node.args, *node.keywords], key=self.start)
        for index, each in enumerate(arguments):
            if isinstance(each, ast.keyword) and each.arg and each.arg != "strict":
                self._drop(arguments, index)
        name = self._text(node.func).rpartition(".")[2]
        is_slip = name not in OTHER_KIND and not name[:1].isupper()
        if is_slip and node.args and not isinstance(node.args[0], ast.Starred | ast.GeneratorExp | ast.Lambda):
            self._replace(node, f"({self._text(node.args[0])})")
        if isinstance(node.func, ast.Attribute) and name in METHODS and not self._is_module(node.func.value):
            self._replace(node, self._text(node.func.value))
        self.generic_visit(node)

    def _says(self, call):
        return self._text(call.func).rpartition(".")[2] in SAYS

    def _is_module(self, node):
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and node.id in self._modules

    def _negate(self, condition):
        if not isinstance(condition, ast.UnaryOp) and not (
            isinstance(condition, ast.Compare) and len(condition.ops) == 1
        ):
            self._replace(condition, f"not ({self._text(condition)})")

    def _drop_each(self, nodes):
        for index in range(len(nodes)):
            self._drop(nodes, index)

    def _drop(self, nodes, index):
        """One of several that stand in a row, with the comma or operator beside it."""
        if index:
            self._edit(self.end(nodes[index - 1]), self.end(nodes[index]), "")
        elif len(nodes) > 1:
            self._edit(self.start(nodes[0]), self.start(nodes[1]), "")
        else:
            self._replace(nodes[0], "")

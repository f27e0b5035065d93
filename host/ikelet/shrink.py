"""The firmware's source with fewer names: MicroPython keeps every name that it has read for ever.

Names, some 12 bytes each, stay when their module goes, and their table doubles whenever it is
full: beyond some 1,270 names by 9 KB, in one piece. So constants of whole numbers become numbers,
also where another module uses them, and what is compiled on the board has for its variables the
names of MicroPython's own, which it knows already.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping

_CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*")

# In the read-only memory of every MicroPython, and no type of the viper emitter.
# fmt: off
_KNOWN = (
    "abs", "all", "any", "append", "args", "bytearray", "bytes", "callable", "chr", "classmethod",
    "clear", "close", "copy", "count", "dict", "dir", "divmod", "end", "endswith", "eval", "exec",
    "extend", "find", "format", "from_bytes", "get", "getattr", "globals", "hasattr", "hash", "id",
    "index", "insert", "isdigit", "isinstance", "issubclass", "items", "iter", "join", "key",
    "keys", "len", "list", "locals", "lower", "map", "max", "min", "next", "object", "open", "ord",
    "pop", "pow", "print", "range", "read", "remove", "repr", "replace", "reverse", "round",
    "send", "set", "setattr", "sort", "sorted", "split", "start", "str", "strip", "sum", "super",
    "tuple", "type", "update", "upper", "value", "values", "write", "zip",
)
# fmt: on

Constants = Mapping[str, Mapping[str, int]]  # module: {name: number}


def constants(sources: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """The whole numbers that modules (name: source) give a name in capitals, once and for all."""
    found = {}
    for module, source in sources.items():
        tree = ast.parse(source)
        written = Counter(
            node.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
        )
        own = {name: value for node in tree.body for name, value in _assigned(node)}
        found[module] = {name: value for name, value in own.items() if written[name] == 1}
    return found


def folded(module: str, source: str, known: Constants) -> str:
    """The source of a module with numbers in place of constants, its own and others'."""
    tree = ast.parse(source)
    return ast.unparse(ast.fix_missing_locations(_Fold(module, tree, known).visit(tree)))


def anonymous(source: str) -> str:
    """The source with other names for the variables of its functions."""
    tree = ast.parse(source)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    free = [name for name in _KNOWN if name not in used]
    for function in tree.body:
        if isinstance(function, ast.FunctionDef):
            _Rename(function, free).visit(function)
    return ast.unparse(tree)


def _assigned(node: ast.stmt) -> Iterator[tuple[str, int]]:
    """(name, number) of NAME = number, NAME = const(number), or several at once."""
    if not isinstance(node, ast.Assign) or len(node.targets) != 1:
        return
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = list(zip(target.elts, value.elts, strict=True))
    else:
        pairs = [(target, value)]
    found = []
    for name, given in pairs:
        if isinstance(given, ast.Call) and ast.unparse(given.func) == "const":
            given = given.args[0]
        if not isinstance(name, ast.Name) or not _CONSTANT.fullmatch(name.id):
            return
        if not isinstance(given, ast.Constant) or type(given.value) is not int:
            return
        found.append((name.id, given.value))
    yield from found


class _Fold(ast.NodeTransformer):
    def __init__(self, module: str, tree: ast.Module, known: Constants) -> None:
        self._own = known[module]
        self._known = known
        self._numbers = dict(self._own)
        self._modules = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for one in node.names:
                    self._modules[one.asname or one.name] = one.name
            elif isinstance(node, ast.ImportFrom):
                for one in node.names:
                    name = one.asname or one.name
                    self._modules[name] = f"{node.module}.{one.name}"
                    if one.name in known.get(node.module or "", ()):
                        self._numbers[name] = known[node.module or ""][one.name]

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        gone = [name for name, _ in _assigned(node) if name in self._own]
        return None if gone else self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        numbers = self._known.get(node.module or "", ())
        node.names = [one for one in node.names if one.name not in numbers]
        return node if node.names else None

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Constant(self._numbers[node.id]) if node.id in self._numbers else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name):
            numbers = self._known.get(self._modules.get(node.value.id, ""), {})
            if node.attr in numbers:
                return ast.Constant(numbers[node.attr])
        return self.generic_visit(node)


class _Rename(ast.NodeTransformer):
    def __init__(self, function: ast.FunctionDef, free: list[str]) -> None:
        names = [one.arg for one in function.args.args]
        names += [
            node.id
            for node in ast.walk(function)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        ]
        self._names = dict(zip(dict.fromkeys(names), free, strict=False))

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.arg = self._names.get(node.arg, node.arg)
        return node

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self._names.get(node.id, node.id)
        return node

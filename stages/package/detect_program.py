"""Makes the package's detect.py: one file that needs nothing of EdgeMill, with the very functions that evaluation ran.

What detect.py imports from `_detection` is replaced by its source, and the source of what that needs, at the line that begins with MARK.
"""

import ast
import builtins
import symtable
from typing import NamedTuple

from _runtime import StageError

MARK = "# HERE "
SHARED = "_detection"


class _Module(NamedTuple):
    """A parsed module; `defined` is {name: its top-level node}."""

    lines: list
    tree: ast.Module
    defined: dict


def build(program, stages):
    """The source of the stand-alone program. program: source of detect.py; stages: folder that holds `_detection`, a Path.

    Raises StageError where an imported name is not there, two modules define one name, or the result would use an unknown one.
    """
    tree = ast.parse(program)
    wanted = [node for node in tree.body if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == SHARED]
    taken, imports = {}, _imported(tree)
    there = set(imports)
    for node in wanted:
        module = _read(stages / (node.module.replace(".", "/") + ".py"))
        segments = _segments(module, [alias.name for alias in node.names], node.module)
        clash = taken.keys() & segments.keys()
        if clash:
            raise StageError(
                "two shared modules define one name",
                node.module,
                "different names",
                ", ".join(sorted(clash)),
                "rename one: detect.py holds both",
            )
        taken.update(segments)
        used = set().union(*(_used(module.defined[name]) for name in segments))
        imports.update({name: line for name, line in _imported(module.tree).items() if name in used and name not in imports})
    dropped = {number for node in wanted for number in range(node.lineno - 1, node.end_lineno)}
    lines = [line for number, line in enumerate(program.splitlines()) if number not in dropped]
    source = _with_imports(_with_segments(lines, taken), {imports[name] for name in imports.keys() - there})
    _check_names(source)
    return source


def _imported(tree):
    """{name: statement} of what a module imports from elsewhere than the stages."""
    found = {}
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)) and not ast.unparse(node).split()[1].startswith("_"):
            for alias in node.names:
                alone = ast.Import([alias]) if isinstance(node, ast.Import) else ast.ImportFrom(node.module, [alias], 0)
                found[alias.asname or alias.name] = ast.unparse(alone)
    return found


def _check_names(source):
    """Every global name that a function of the program uses must be one of the program's own or Python's."""
    table = symtable.symtable(source, "detect.py", "exec")
    known = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()}
    scopes = [table]
    while scopes:
        scope = scopes.pop()
        scopes += scope.get_children()
        for symbol in scope.get_symbols():
            name = symbol.get_name()
            if (
                symbol.is_referenced()
                and (symbol.is_global() or scope is table)
                and name not in known
                and not hasattr(builtins, name)
                and name not in ("__file__", "__name__")
            ):
                raise StageError(
                    "detect.py would use a name that it does not have",
                    "detect.py, line %d and after" % scope.get_lineno(),
                    "a name that it defines or imports",
                    name,
                    "let the shared function use nothing but its own module and libraries",
                )


def _read(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    defined = {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined[node.name] = node
        elif isinstance(node, ast.Assign):
            defined.update((target.id, node) for target in node.targets if isinstance(target, ast.Name))
    return _Module(text.splitlines(), tree, defined)


def _segments(module, names, where):
    """{name: source} of `names` and all that they use of their module, in its order."""
    waiting, needed = list(names), set()
    while waiting:
        name = waiting.pop()
        if name not in module.defined:
            raise StageError(
                "detect.py needs a name that its module does not define",
                where,
                "a function, class or constant of that module",
                name,
                "mend detect.py's imports",
            )
        if name not in needed:
            needed.add(name)
            waiting += [used for used in _used(module.defined[name]) if used in module.defined]
    return {name: _source(module, node) for name, node in module.defined.items() if name in needed}


def _used(node):
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _source(module, node):
    start = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))]) - 1
    while start and module.lines[start - 1].startswith("#"):
        start -= 1
    return "\n".join(module.lines[start : node.end_lineno])


def _with_segments(lines, segments):
    place = next((index for index, line in enumerate(lines) if line.startswith(MARK)), None)
    if place is None:
        raise StageError(
            "detect.py has no place for the shared functions", "detect.py", "a line that begins with %r" % MARK, "none", "put the line back"
        )
    body = []
    for source in segments.values():
        # Two lines between functions, one where a constant follows a constant.
        body += ["", ""] if source.lstrip("#").split("\n")[-1].startswith(" ") or not body else []
        body += source.split("\n")
    head = ["# From here on: the functions with which the pipeline evaluated the model, as they were."]
    return [*lines[:place], *head, *body, *lines[place + 1 :]]


def _with_imports(lines, statements):
    """The program with more imports in its first block, the standard library's."""
    start = next(index for index, line in enumerate(lines) if line.startswith(("import ", "from ")))
    end = next(index for index in range(start, len(lines)) if not lines[index])
    plain, by_module = set(), {}
    for line in [*lines[start:end], *statements]:
        if line.startswith("from "):
            module, names = line[len("from ") :].split(" import ")
            by_module.setdefault(module, set()).update(names.split(", "))
        else:
            plain.add(line)
    block = sorted(plain) + ["from %s import %s" % (module, ", ".join(sorted(names))) for module, names in sorted(by_module.items())]
    return "\n".join([*lines[:start], *block, *lines[end:]]) + "\n"

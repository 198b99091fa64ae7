"""Makes the package's programs, detect.py and parity.py: files that need nothing of EdgeMill, with the very functions that evaluation ran.

What such a program imports from the modules beside it and from the shared ones (`_detection` and the like) is replaced by its source, and
the source of what that needs, at the line that begins with MARK.
"""

import ast
import builtins
import symtable
import sys
from typing import NamedTuple

from _runtime import StageError

MARK = "# HERE "
OWN = "package"
RUNTIME = "_runtime"  # is not taken: the programs have a StageError of their own
SHARED_HEAD = "# From here on: the functions with which the pipeline evaluated the model, as they were."


class _Module(NamedTuple):
    """A parsed module. defined: {name: its top-level node}; borrowed: {name: the module of ours that it is imported from}."""

    name: str
    lines: list
    tree: ast.Module
    defined: dict
    borrowed: dict


def build(program, stages, name="detect.py"):
    """The source of the stand-alone program. program: the source of `name`; stages: folder of `package` and the shared modules, a Path.

    Raises StageError where an imported name is not there, two modules define one name, or the result would use an unknown one.
    """
    main = _parse(name, program, stages)
    modules, needed = _closure(main, stages)
    _check_clashes([main, *modules.values()], {**needed, name: set(main.defined)})
    # The program's own parts first, each module where its first name is asked for.
    ordered = sorted(modules.values(), key=lambda module: _is_shared(module.name))
    imports = _imported(main, set(main.defined) | _names(main.tree))
    body, head = [], None
    for module in ordered:
        used = set().union(*(_names(module.defined[name]) for name in needed[module.name]))
        imports |= _imported(module, used)
        line = SHARED_HEAD if _is_shared(module.name) else "# " + ast.get_docstring(module.tree).split("\n")[0]
        body += ([] if line == head else ["", "", line] if body else [line]) + _segments(module, needed[module.name])
        head = line
    source = _assemble(main, imports, body)
    _check_names(name, source)
    return source


def _parse(name, text, stages):
    tree = ast.parse(text)
    defined, borrowed = {}, {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined[node.name] = node
        elif isinstance(node, ast.Assign):
            defined.update((target.id, node) for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.ImportFrom) and _path(node.module or "", stages) is not None:
            borrowed.update((alias.asname or alias.name, node.module) for alias in node.names)
    return _Module(name, text.splitlines(), tree, defined, borrowed)


def _path(name, stages):
    """The file of a module of ours, else None."""
    folder = stages if _is_shared(name) else stages / OWN
    path = folder / (name.replace(".", "/") + ".py")
    return path if path.is_file() and name.split(".")[0] != RUNTIME else None


def _is_shared(name):
    return name.startswith("_")


def _closure(main, stages):
    """({name: _Module}, {module's name: names}) of all that the program needs of other modules."""
    modules, needed = {}, {}
    waiting = list(main.borrowed.items())
    while waiting:
        name, where = waiting.pop(0)
        if where not in modules:
            modules[where], needed[where] = _parse(where, _path(where, stages).read_text(encoding="utf-8"), stages), set()
        module = modules[where]
        if name not in module.defined:
            raise StageError(
                "%s needs a name that its module does not define" % main.name,
                where,
                "a function, class or constant of that module",
                name,
                "mend the imports of %s" % main.name,
            )
        if name not in needed[where]:
            needed[where].add(name)
            used = sorted(_names(module.defined[name]))
            waiting += [(each, where) for each in used if each in module.defined]
            waiting += [(each, module.borrowed[each]) for each in used if each in module.borrowed]
    return modules, needed


def _check_clashes(modules, names):
    owners = {}
    for module in modules:
        for name in sorted(names[module.name]):
            if name in owners:
                raise StageError(
                    "two modules of %s define one name" % modules[0].name,
                    "%s and %s" % (owners[name], module.name),
                    "different names",
                    name,
                    "rename one: the program holds both",
                )
            owners[name] = module.name


def _imported(module, used):
    """Statements, one a name, that import what of `used` comes from elsewhere than from our modules."""
    found = set()
    for node in module.tree.body:
        if not isinstance(node, (ast.Import, ast.ImportFrom)) or ast.unparse(node).split()[1].startswith("_"):
            continue
        for alias in node.names:
            if (alias.asname or alias.name).split(".")[0] in used and (alias.asname or alias.name) not in module.borrowed:
                alone = ast.Import([alias]) if isinstance(node, ast.Import) else ast.ImportFrom(node.module, [alias], 0)
                found.add(ast.unparse(alone))
    return found


def _names(node):
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _segments(module, names):
    """Lines of the source of `names`, in the module's order; two empty ones between functions, none where a constant follows a constant."""
    lines = []
    for node in dict.fromkeys(node for name, node in module.defined.items() if name in names):
        source = _source(module, node)
        spaced = not isinstance(node, ast.Assign) or not lines or lines[-1].startswith((" ", ")"))
        lines += (["", ""] if spaced else []) + source
    return lines


def _source(module, node):
    start = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))]) - 1
    while start and module.lines[start - 1].startswith("#"):
        start -= 1
    return module.lines[start : node.end_lineno]


def _assemble(main, imports, body):
    """The program with these imports at its head, and `body` in the place of the line MARK."""
    lines = main.lines
    ours = [node for node in main.tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    place = next((index for index, line in enumerate(lines) if line.startswith(MARK)), None)
    if place is None:
        raise StageError(
            "%s has no place for what it imports" % main.name, main.name, "a line that begins with %r" % MARK, "none", "put the line back"
        )
    standard = [line for line in imports if line.split()[1].split(".")[0] in sys.stdlib_module_names]
    blocks = [_import_block(standard), _import_block(imports - set(standard))]
    head = [*blocks[0], *([""] if blocks[1] else []), *blocks[1]]
    return "\n".join([*lines[: ours[0].lineno - 1], *head, *lines[ours[-1].end_lineno : place], *body, *lines[place + 1 :]]) + "\n"


def _import_block(statements):
    """Lines of import statements, sorted, names of one module on one line."""
    plain, by_module = set(), {}
    for line in statements:
        if line.startswith("from "):
            module, names = line[len("from ") :].split(" import ")
            by_module.setdefault(module, set()).update(names.split(", "))
        else:
            plain.add(line)
    return sorted(plain) + ["from %s import %s" % (module, ", ".join(sorted(names))) for module, names in sorted(by_module.items())]


def _check_names(program, source):
    """Every global name that a function of the program uses must be one of the program's own or Python's."""
    table = symtable.symtable(source, program, "exec")
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
                    "%s would use a name that it does not have" % program,
                    "%s, line %d and after" % (program, scope.get_lineno()),
                    "a name that it defines or imports",
                    name,
                    "let the shared function use nothing but its own module and libraries",
                )

"""The `mill` program: Invoke on this project's tasks from any folder, with exit status 2 for a request that is wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from invoke import Collection, Program
from invoke.exceptions import ParseError

from edgemill import PROJECT

WRONG_REQUEST = 2
STOPPED = 130


class Mill(Program):
    """Invoke's own program exits with 1 where a command line is wrong; here 1 means that a stage failed."""

    def load_collection(self) -> None:
        """The tasks of this project, wherever the command is typed."""
        sys.path.insert(0, str(PROJECT))
        import tasks

        self.collection = Collection.from_module(tasks, loaded_from=str(PROJECT))

    def parse_core(self, argv: list[str] | None) -> None:
        """Invoke's own options."""
        try:
            super().parse_core(argv)
        except ParseError as error:
            _refuse(error)

    def parse_tasks(self) -> None:
        """The tasks and their options."""
        import tasks

        first = next(iter(self.core.unparsed), "")
        if first in tasks.LISTS:
            self.core.unparsed = with_option(self.core.unparsed, tasks.LISTS[first], self._takes_value(first))
        try:
            super().parse_tasks()
        except (ParseError, ValueError) as error:  # a ValueError: text where an option takes a number
            _refuse(error)

    def _takes_value(self, task: str) -> Callable[[str], bool]:
        """Whether an argument is an option of the task that a value follows."""
        flags = next(context.flags for context in self.collection.to_contexts() if context.name == task)
        return lambda argument: argument in flags and flags[argument].takes_value

    def execute(self) -> None:
        """The tasks themselves; Invoke would end with 1 where Ctrl-C comes in one that does not catch it."""
        try:
            super().execute()
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            raise SystemExit(STOPPED) from None


def with_option(arguments: list[str], option: str, takes_value: Callable[[str], bool]) -> list[str]:
    """A task's arguments with `option` before each that is neither an option nor an option's value: Invoke has no list without one."""
    named, value = arguments[:1], False
    for argument in arguments[1:]:
        named += [argument] if value or argument.startswith("-") else [option, argument]
        value = not value and takes_value(argument)
    return named


def _refuse(error: Exception) -> NoReturn:
    print(f"error: {error}\n  next:     ./mill --list, or ./mill --help TASK", file=sys.stderr)
    raise SystemExit(WRONG_REQUEST)


def main() -> None:
    """Run the command line."""
    try:
        Mill(name="mill", binary="mill").run()
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

"""Which method carries out which message between coordinator and worker, found by the message's exact type.

It is used like `functools.singledispatchmethod`, which is many times slower: it makes a closure for every call, and
there are ten calls a piece in every process of a client.

Invariant: a type has one method. Not for: messages between peers, which `wire` checks first.
"""

from collections.abc import Callable
from typing import TypeVar, get_args, get_type_hints

Method = TypeVar("Method", bound=Callable[..., object])


class Handlers:
    """The methods of one class. The annotation of a method's first argument says which message it takes, or which ones
    if it is a union.
    """

    def __init__(self) -> None:
        self._methods: dict[type, Callable[..., object]] = {}

    def register(self, method: Method) -> Method:
        """A decorator. Raises TypeError if another method takes the type already."""
        meant = next(iter(get_type_hints(method).values()))
        for kind in get_args(meant) or (meant,):
            if kind in self._methods:
                raise TypeError(f"two methods take {kind.__name__}")
            self._methods[kind] = method
        return method

    def bound_to(self, owner: object) -> dict[type, Callable[..., object]]:
        """Every method, bound to this object, by the type of message it takes."""
        return {kind: method.__get__(owner) for kind, method in self._methods.items()}

    def __getitem__(self, kind: type) -> Callable[..., object]:
        """The method, to be called with its object first. Raises KeyError."""
        return self._methods[kind]

"""Which method carries out which message between coordinator and worker, found by the message's exact type.

It reads like `functools.singledispatchmethod`, which makes a closure anew for every call and asks a weak dictionary:
6 µs against 0.2, ten times a piece in every process of a client.

Invariant: a type has one method. Not for: messages between peers, which are judged by `wire` first.
"""

from collections.abc import Callable
from typing import TypeVar, get_args, get_type_hints

Method = TypeVar("Method", bound=Callable[..., object])


class Handlers:
    """Of one class. The annotation of a method's first argument says which message it takes, or which of a union."""

    def __init__(self) -> None:
        self._methods: dict[type, Callable[..., object]] = {}

    def register(self, method: Method) -> Method:
        """To be used as a decorator. Raises TypeError if a type is spoken for."""
        meant = next(iter(get_type_hints(method).values()))
        for kind in get_args(meant) or (meant,):
            if kind in self._methods:
                raise TypeError(f"two methods take {kind.__name__}")
            self._methods[kind] = method
        return method

    def bound_to(self, owner: object) -> dict[type, Callable[..., object]]:
        """All of them, as methods of this object."""
        return {kind: method.__get__(owner) for kind, method in self._methods.items()}

    def __getitem__(self, kind: type) -> Callable[..., object]:
        """The method, to be called with its object first. Raises KeyError."""
        return self._methods[kind]

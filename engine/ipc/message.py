"""What every order to a worker and all news of one have in common."""

from typing import ClassVar

from msgspec import Struct


class Order(Struct, frozen=True, array_like=True):
    descriptor_count: ClassVar[int] = 0


class News(Struct, frozen=True, array_like=True):
    descriptor_count: ClassVar[int] = 0

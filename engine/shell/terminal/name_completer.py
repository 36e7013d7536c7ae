"""Tab at the prompt: the offers of `completion` in the form that prompt_toolkit takes.

Not for: what is offered (completion).
"""

from collections.abc import AsyncGenerator, Callable, Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from engine.shell.terminal.completion import KnownNames, offers


class NameCompleter(Completer):
    def __init__(self, names: Callable[[], KnownNames | None]) -> None:
        self._names = names

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        return ()  # names take a moment to come: only the asynchronous way is used

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        for offer in await offers(document.text_before_cursor, self._names()):
            is_whole = not offer.text.rstrip("'").endswith("/")
            yield Completion(offer.text + " " * is_whole, start_position=-offer.replaced)

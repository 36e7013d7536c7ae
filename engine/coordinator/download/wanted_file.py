"""Which file a download is of, and where it goes. It never changes."""

from dataclasses import dataclass
from pathlib import Path

from engine.storage.manifest import Manifest

Swarm = tuple[str, bytes]
"""(group, root): all who have or fetch one content in one group."""


@dataclass(frozen=True, slots=True)
class WantedFile:
    """`file_id`: its number in this client and its workers. `target`: the final absolute path."""

    file_id: int
    group_id: str
    name: str
    target: Path
    manifest: Manifest

    @property
    def swarm(self) -> Swarm:
        return self.group_id, self.manifest.root

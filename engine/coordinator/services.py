"""What all downloads of one client share: the pool, the links, and those whom a download asks or tells something."""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.coordinator.directory import Directory
from engine.coordinator.hash_jobs import HashJobs
from engine.coordinator.peer_links import PeerLinks
from engine.coordinator.pool import Pool
from engine.settings import Settings
from engine.storage.part_file import PartFiles


@dataclass(frozen=True, slots=True)
class Services:
    """`request_ids`: numbers of requests, which are never used twice by this client."""

    settings: Settings
    pool: Pool
    links: PeerLinks
    hash_jobs: HashJobs
    part_files: PartFiles
    directory: Directory
    request_ids: Iterator[int]

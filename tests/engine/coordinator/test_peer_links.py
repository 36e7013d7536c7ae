from engine.coordinator.peer_links import PeerAddress, PeerLinks
from engine.settings import Settings

ANN = PeerAddress("ann", "127.0.0.1", 7001, b"a" * 32)
WORKERS = [0, 1, 2]


def _wanted(links: PeerLinks, file_id: int, missing: int, *peers: PeerAddress) -> list[tuple[PeerAddress, int]]:
    return links.wanted(list(peers), WORKERS, 0.0, is_open=False, file_id=file_id, missing=missing)


def _carry(links: PeerLinks, file_id: int, worker: int) -> None:
    links.link_to(ANN, worker, is_open=False)[0].files.add(file_id)


def test_a_link_made_on_hearsay_is_in_nobodys_way() -> None:
    """Somebody says that ann is elsewhere; the tracker names her place meanwhile."""
    links, elsewhere = PeerLinks(Settings()), PeerAddress("ann", "198.51.100.9", 1, ANN.thumbprint)
    hinted, _ = links.link_to(elsewhere, 0, is_open=False, is_hint=True)
    named, is_new = links.link_to(ANN, 0, is_open=False)
    assert is_new
    links.down(hinted, 0.0)
    assert links.link_to(ANN, 0, is_open=False) == (named, False)
    assert _wanted(links, 1, 100, ANN) != []


def test_one_peer_is_linked_to_every_worker() -> None:
    assert sorted(worker for _, worker in _wanted(PeerLinks(Settings()), 1, 100, ANN)) == WORKERS


def test_a_peer_has_no_more_links_for_a_file_than_pieces_are_missing() -> None:
    assert len(_wanted(PeerLinks(Settings()), 1, 2, ANN)) == 2


def test_small_files_take_turns_on_the_workers() -> None:
    links = PeerLinks(Settings())
    for file_id in range(6):
        ((_, worker),) = _wanted(links, file_id, 1, ANN)
        _carry(links, file_id, worker)
    assert sorted(link.worker for link in links) == WORKERS
    assert all(len(link.files) == 2 for link in links)


def test_a_file_stays_on_the_link_that_carries_it() -> None:
    links = PeerLinks(Settings())
    _carry(links, 7, 2)
    assert _wanted(links, 7, 1, ANN) == [(ANN, 2)]
    links.forget(next(iter(links)))
    assert len(_wanted(links, 7, 1, ANN)) == 1


def _crowd(count: int) -> list[PeerAddress]:
    return [PeerAddress("crowd", "127.0.0.1", 9000, number.to_bytes(32)) for number in range(count)]


def test_accounts_take_turns_for_the_links_of_a_download() -> None:
    wanted = _wanted(PeerLinks(Settings()), 1, 100, *_crowd(200), ANN)
    assert len(wanted) == Settings().links_per_download
    assert ANN in [peer for peer, _ in wanted]


def test_whoever_does_not_answer_is_in_nobodys_way() -> None:
    links, many = PeerLinks(Settings()), [PeerAddress(f"user{n}", "127.0.0.1", 9000, n.to_bytes(32)) for n in range(20)]
    for peer, worker in _wanted(links, 1, 100, *many, ANN):
        links.link_to(peer, worker, is_open=False)
    assert ANN not in [peer for peer, _ in _wanted(links, 1, 100, *many, ANN)]
    later = links.wanted([*many, ANN], WORKERS, 10.0, is_open=False, file_id=1, missing=100)
    assert ANN in [peer for peer, _ in later]

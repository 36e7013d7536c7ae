"""Peers that no tracker named: found through other peers, believed only when they have proven who they are."""

from engine.coordinator.download.peer_answers import PeerReport
from engine.coordinator.download.status import status_of
from engine.coordinator.peer_links import PeerAddress
from engine.errors import TrackerUnavailable
from engine.ipc import reports
from engine.settings import Settings
from engine.storage.manifest import Manifest
from engine.wire.messages import Neighbour
from tests.engine.conftest import Node, World
from tests.engine.coordinator.test_transfer import until
from tests.testkit.processes import free_ports

MIB = 1 << 20


async def two_in_the_middle(world: World, gossip_interval_s: float) -> tuple[Node, Node, Manifest]:
    """Ann and Bob have about half of a file each, and a link with each other; their origin has ended."""
    settings = Settings(workers=2, gossip_interval_s=gossip_interval_s)
    origin = await world.node("origin")
    ann, bob = await world.node("ann", settings), await world.node("bob", settings)
    path, manifest = await world.file("data.bin", 64 * MIB, origin)
    origin.serve(path, manifest)
    ann.knows(origin, bob)
    bob.knows(origin, ann)
    halves = [node.fetch(world.folder / f"{node.member.user_id}.bin", manifest)[0] for node in (ann, bob)]
    await until(lambda: all(half.verified_bytes >= 4 * MIB for half in halves))
    await origin.coordinator.stop()
    await until(lambda: all(status_of(half).peers_connected == 1 for half in halves))
    return ann, bob, manifest


def silence(node: Node) -> None:
    """From now on no tracker answers."""

    async def no_answer(group_id: str, root: bytes, report: PeerReport) -> list[PeerAddress]:
        raise TrackerUnavailable("no tracker answers")

    node.directory.find_peers = no_answer  # type: ignore[method-assign]


async def test_a_leecher_finds_a_peer_that_no_tracker_named(world: World) -> None:
    ann, _, manifest = await two_in_the_middle(world, 0.2)
    cy = await world.node("cy")
    silence(cy)
    download, _ = cy.coordinator.fetch(
        "lab", "cy.bin", world.folder / "cy.bin", manifest, [ann.member.at(ann.listener.port)]
    )
    await until(lambda: status_of(download).peers_connected == 2)
    assert sorted(peer.user_id for peer in download.peer_book.peers.values()) == ["ann", "bob"]


async def test_who_is_not_the_one_that_was_named_is_no_peer_and_in_nobodys_way(world: World) -> None:
    """Ann says: eve is where bob is, dan is where nobody listens, and cy herself is one more."""
    ann, bob, manifest = await two_in_the_middle(world, 1000.0)
    cy = await world.node("cy")
    cy.knows(ann)
    download, _ = cy.fetch(world.folder / "cy.bin", manifest)
    await until(lambda: status_of(download).peers_connected == 1)
    (link,) = {each.peer.user_id: each for each in cy.coordinator._links}.values()
    named = (
        Neighbour("eve", "127.0.0.1", bob.listener.port, bob.member.thumbprint),
        Neighbour("dan", "127.0.0.1", free_ports(1)[0], b"d" * 32),
        Neighbour("cy", "127.0.0.1", cy.listener.port, cy.member.thumbprint),
    )
    cy.coordinator._on_report(link.worker, reports.PeersNamed(link.link_id, download.wanted.file_id, named))
    await until(lambda: len(cy.lost_links) >= 3)
    assert any("this client itself" in reason for reason in cy.lost_links)
    assert any("bob answers there, not eve" in reason for reason in cy.lost_links)
    assert [peer.user_id for peer in download.peer_book.peers.values()] == ["ann"]
    # And yet bob himself is welcome, at once.
    cy.coordinator.peer_joined("lab", manifest.root, bob.member.at(bob.listener.port))
    await until(lambda: status_of(download).peers_connected == 2)

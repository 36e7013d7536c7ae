"""Finds the file that a user means by what was typed: one place for all commands.

A user types a group and a name, in any spelling that stands for them (spellings). What is shared and fetched is the
content of a group, (group, root). A name leads to it, and two names may lead to the same content. Commands find the
name as it is known here; the shares and the downloads know the content.

Invariant: a file that is shared or fetched here is found without a tracker.
Not for: what a tracker lists under other names (manifests).
"""

from engine.client.fetching.downloads import Downloads
from engine.client.session import TrackerSession
from engine.client.sharing.shares import Shares
from engine.client.spellings import Key, find_key


class KnownFiles:
    """Of the account that is logged in."""

    def __init__(self, session: TrackerSession, shares: Shares, downloads: Downloads) -> None:
        self._session, self._shares, self._downloads = session, shares, downloads

    async def group(self, group_id: str) -> str:
        """As its maker spelled it. Asks the tracker; raises ShoalError, also if this account is not a member."""
        return await self._session.spelling_of(group_id)

    def find(self, group_id: str, name: str) -> Key:
        """As it is spelled here, or as it was typed if it is not known."""
        return find_key((group_id, name), self._downloads.roots() | self._shares.roots())

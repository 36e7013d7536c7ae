"""Many leechers of one file: real clients behind shaped links, and whole swarms in virtual time."""

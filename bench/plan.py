"""The names of all runs in the order of the results, and which of them `python -m bench all` does with which options.

Not here: running one (runs), running them all (everything).
"""

RUNS = {
    "demo": "bench.demo",
    "all": "bench.everything",
    "compare": "bench.transfers.compare",
    "ceiling": "bench.transfers.ceiling",
    "single": "bench.transfers.single",
    "distance": "bench.transfers.distance",
    "memory": "bench.transfers.memory",
    "hashing": "bench.parts.hashing",
    "picker": "bench.parts.picker",
    "small": "bench.transfers.small",
    "startup": "bench.parts.startup",
    "destination": "bench.parts.destination",
    "wire": "bench.parts.wire",
    "revocation": "bench.attacks.revocation",
    "faults": "bench.faults.cases",
    "floods": "bench.attacks.floods",
    "simulate": "bench.swarms.simulate",
    "rules": "bench.swarms.rules",
    "swarm": "bench.swarms.shaped_links",
}
"""The name of a run, and its module."""

PLAN = (
    ("compare", "--size", "2048", "--rounds", "3", "--only", "libtorrent"),
    ("ceiling", "--size", "2048", "--rounds", "3"),
    ("single", "--size", "2048", "--rounds", "3"),
    ("compare", "--size", "512", "--rounds", "2"),
    ("distance", "--rounds", "3"),
    ("hashing", "--size", "1024", "--rounds", "5"),
    ("picker",),
    ("small",),
    ("startup",),
    ("destination", "--size", "1024", "--rounds", "3"),
    ("wire",),
    ("revocation",),
)
LONG_PLAN = (
    ("memory", "--size", "20"),
    ("faults", "--kills", "500"),
    ("floods",),
    ("simulate",),
    ("rules",),
    ("swarm",),
)
QUICK_PLAN = (
    ("compare", "--size", "64", "--rounds", "1"),
    ("ceiling", "--size", "64", "--rounds", "1"),
    ("single", "--size", "64", "--rounds", "1"),
    ("distance", "--size", "32", "--rounds", "1"),
    ("memory", "--size", "1"),
    ("hashing", "--size", "64", "--rounds", "1"),
    ("picker", "--pieces", "10000", "--peers", "20", "--picks", "500", "--haves", "1000"),
    ("small", "--files", "20"),
    ("startup", "--rounds", "1"),
    ("destination", "--size", "64", "--rounds", "1"),
    ("wire", "--count", "100"),
    ("revocation", "--rounds", "1"),
    ("faults", "--kills", "5", "--resume-gib", "4", "--size", "256", "--rounds", "1", "--pairs", "2", "--sleep", "2"),
    ("floods", "--size", "8", "--rounds", "1", "--only", "unread"),
    ("simulate", "--leechers", "4", "8", "--pieces", "60", "--troubled", "6", "--newcomers", "12", "--seeds", "1"),
    ("rules", "--leechers", "16", "--pieces", "40", "--seeds", "1"),
    ("swarm", "--quick", "--rounds", "1"),
)

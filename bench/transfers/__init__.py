"""One file from some seeders to one leecher on loopback: Shoal beside other programs, ceilings, memory, distance."""

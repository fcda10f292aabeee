"""What sessions cost: this package beside no session at all, Strands' own managers and other packages'.

`scripts/bench` runs it (`python -m benchmarks --help` says with what options): all contenders in one run, taken in
turns, so that whatever else the machine does hits all alike. Compare ratios, not milliseconds.

- `contenders`: who takes part, how each is opened and how a long session is seeded in its own format.
- `agents`: the agent they all serve, and its model.
- `turns`, `restores`, `stalls`, `overlaps`, `crowds`, `costs`, `footprints`: one section of measures each.
- `targets`: what this package is to reach, as ratios of one run.
- `report`, `plot`: the table, the JSON file and the picture.
"""

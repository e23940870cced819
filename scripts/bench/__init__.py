"""Benchmarks of the model server; `make bench-model` runs them, results go to `docs/bench/*.json`.

`models` writes random checkpoints, `servers` starts the contenders, `load` asks them; `compare`, `single`, `web`,
`start` and `memory` measure; `page` and `sizing` write `docs/performance.md` and `docs/sizing.md` from the results.
`gpu` is a run of its own.
"""

"""The journal: everything that happens, as events in append-only segment files, one a writing process.

`carrier` is the seam: what a journal must do, wherever it is kept. `files` keeps it in a home, `memory` in memory, for tests.
With files, `home` is the folder that holds it, `writer` appends, `reader` reads, `recovery` ends what dead writers left open,
`verify` looks for damage, `locks` are named locks that the kernel frees when their holder dies.
Below them: `lines` (the bytes of one event), `scan` (whole records from a position on), `segment` (one open file),
`waiting` (the line of those who wait for a lock) and `descriptors` (files whose `flock` must not survive in a forked child).
`archive` moves closed segments into Parquet files (`parquet`), each with an `index`; `unpack` reads them, `mending` puts right what
a killed process left of one. `following` reads on behind what one has read.
"""

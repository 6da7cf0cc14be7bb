"""The journal: everything that happens, as events in append-only segment files, one a writing process.

`home` is the folder that holds it, `writer` appends, `reader` reads, `recovery` ends what dead writers left open, `verify`
looks for damage, `locks` are named locks that the kernel frees when their holder dies, `memory` is a journal for tests.
Below them: `lines` (the bytes of one event), `scan` (whole records from a position on), `segment` (one open file) and
`descriptors` (files whose `flock` must not survive in a forked child).
"""

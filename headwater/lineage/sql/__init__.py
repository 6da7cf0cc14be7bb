"""SQL files, read by `headwater.lineage.statements`."""

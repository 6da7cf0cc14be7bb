"""OpenLineage: the journal's events as other tools' catalogs read them, and their delivery."""

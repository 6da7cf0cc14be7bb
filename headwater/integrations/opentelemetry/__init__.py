"""OpenTelemetry: runs, task runs and materializations as spans, told from the journal when they have ended."""

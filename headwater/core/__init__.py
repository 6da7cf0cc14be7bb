"""What runs: flows, tasks, states, futures, runners, and the journal that all of it stands in."""

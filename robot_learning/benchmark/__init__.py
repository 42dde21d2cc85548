"""Named suites of tasks, policies and seeds: run, resumed, reported as one table."""

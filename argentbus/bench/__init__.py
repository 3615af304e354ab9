"""Measuring the bus and the sidecar beside a bare driver, in one run on one machine."""

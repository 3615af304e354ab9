"""Maps: shared state with versions."""

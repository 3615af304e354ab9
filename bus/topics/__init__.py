"""Topics: live publish and subscribe."""

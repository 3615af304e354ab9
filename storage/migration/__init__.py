"""Bringing what agents know from one store into another."""

"""Locks, and what is made of them: semaphores, elections, runs once a period."""

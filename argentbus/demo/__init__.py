"""`argentbus demo`: three agents work, one is killed, another takes over, and all is counted."""

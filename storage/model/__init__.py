"""Tables and commands, a file a domain."""

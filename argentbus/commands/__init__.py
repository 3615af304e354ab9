"""The subcommands: one thin module a group, loaded when it is asked for."""

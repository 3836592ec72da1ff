"""Tables and texts of the command line. Pure; nothing here prints or reads."""

"""The journal of a scope: which orders it may have sent, on disk, so that the next run of a program owns them again."""

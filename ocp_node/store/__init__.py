"""SQLite: the one writer, the readers, migrations, the event table, the outbox, backups.  See DESIGN.md."""

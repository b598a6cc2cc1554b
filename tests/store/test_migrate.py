"""The database at start: made, upgraded, or refused with nothing overwritten."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from ocp_node.base.clock import SetClock
from ocp_node.base.errors import Unusable
from ocp_node.base.ids import Ids
from ocp_node.store import connection as opening
from ocp_node.store import migrate
from tests.support.store import Heard


class Place:
    """A data folder and a folder of migrations, the real ones first."""

    def __init__(self, folder: Path) -> None:
        self.scripts = folder / "sql"
        self.scripts.mkdir()
        self.backups = folder / "backups"
        self.path = folder / "ocp.db"
        self.log = Heard()
        self.clock = SetClock()
        for script in migrate.scripts():
            if script.number == 1:
                self.add(script.path.name, script.text())

    def add(self, name: str, text: str) -> None:
        (self.scripts / name).write_text(text)

    def prepare(self) -> None:
        migrate.prepare(self.path, self.backups, self.clock, Ids(), self.log, self.scripts)

    def ask(self, sql: str) -> list[tuple[object, ...]]:
        plain = sqlite3.connect(self.path)
        try:
            return plain.execute(sql).fetchall()
        finally:
            plain.close()

    def digest(self) -> str:
        """Of every file there is, names included."""
        files = sorted(path for path in self.path.parent.rglob("*") if path.is_file() and self.scripts not in path.parents)
        return "\n".join(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files)

    def refused(self, words: str) -> None:
        """`prepare` says `words` in one line, and no byte of any file has changed."""
        before = self.digest()
        with pytest.raises(Unusable, match=words) as caught:
            self.prepare()
        assert "\n" not in str(caught.value) and str(self.path) in str(caught.value)
        assert self.digest() == before


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


TABLE = "CREATE TABLE thing(number INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;"


# --- making and upgrading

def test_a_new_database_is_ours_private_and_complete(place: Place) -> None:
    place.prepare()
    assert stat.S_IMODE(place.path.stat().st_mode) == 0o600
    assert place.ask("PRAGMA application_id") == [(opening.APPLICATION_ID,)]
    assert place.ask("PRAGMA user_version") == [(1,)]
    assert place.ask("PRAGMA journal_mode") == [("wal",)]
    assert place.ask("SELECT number, name FROM migration") == [(1, "base")]
    assert place.ask("SELECT length(value) FROM meta WHERE name = 'log_id'") == [(32,)]
    assert not place.backups.exists() and sorted(os.listdir(place.path.parent)) == ["ocp.db", "sql"]


def test_every_table_is_strict_and_no_constraint_is_put_off_to_the_commit() -> None:
    """A put-off constraint would fail at COMMIT, and so fail the neighbours of the change that broke it."""
    connection = migrate.memory(SetClock(), Ids())
    loose = connection.execute("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict "
                               "AND name NOT LIKE 'sqlite_%'").fetchall()
    assert [row[0] for row in loose] == []
    assert all("DEFERRABLE" not in script.text().upper() for script in migrate.scripts())


def test_starting_again_changes_nothing(place: Place) -> None:
    place.prepare()
    before = place.digest()
    place.prepare()
    assert place.digest() == before


def test_new_migrations_run_in_order_once_after_a_backup(place: Place) -> None:
    place.prepare()
    place.add("0101_thing.sql", TABLE)
    place.add("0102_more.sql", "INSERT INTO thing(name) VALUES ('a');")
    place.prepare()
    place.prepare()
    assert place.ask("SELECT name FROM thing") == [("a",)] and place.ask("PRAGMA user_version") == [(102,)]
    [kept] = place.backups.iterdir()
    assert kept.name == "ocp-20270115T080000Z-before-0102.db" and stat.S_IMODE(kept.stat().st_mode) == 0o600
    plain = sqlite3.connect(kept)
    assert plain.execute("SELECT max(number) FROM migration").fetchone() == (1,)
    plain.close()


def test_a_migration_with_a_lower_number_that_came_later_still_runs(place: Place) -> None:
    place.add("0301_late.sql", "CREATE TABLE late(a TEXT) STRICT;")
    place.prepare()
    place.add("0101_thing.sql", TABLE)
    place.prepare()
    assert place.ask("SELECT number FROM migration ORDER BY number") == [(1,), (101,), (301,)]
    assert place.ask("PRAGMA user_version") == [(301,)]


def test_old_backups_of_upgrades_are_few(place: Place) -> None:
    place.prepare()
    for number in range(101, 107):
        place.clock.advance(60)
        place.add(f"0{number}_t.sql", f"CREATE TABLE t{number}(a TEXT) STRICT;")
        place.prepare()
    assert [path.name[-7:] for path in sorted(place.backups.iterdir())] == ["0104.db", "0105.db", "0106.db"]


@pytest.mark.parametrize("text, words", [
    ("CREATE TABLE other(a TEXT) STRICT; CREATE TABL thing(a);", "0102_bad.sql failed"),
    ("CREATE TABLE other(a TEXT) STRICT; INSERT INTO thing(name) VALUES (NULL);", "0102_bad.sql failed"),
    ("CREATE TABLE other(a TEXT) STRICT; SELECT 1", "0102_bad.sql failed"),
    ("CREATE TABLE child(thing INTEGER REFERENCES thing(number)) STRICT; INSERT INTO child VALUES (77);", "to a missing one"),
    ("CREATE TABLE other(a TEXT) STRICT; COMMIT;", "ends the transaction"),
])
def test_a_migration_that_fails_undoes_all_that_ran_with_it(place: Place, text: str, words: str) -> None:
    place.prepare()
    place.add("0101_thing.sql", TABLE)
    place.add("0102_bad.sql", text)
    with pytest.raises(Unusable, match=words):
        place.prepare()
    if "COMMIT" not in text:                 # what such a script committed itself cannot be undone; the backup is there
        assert place.ask("SELECT name FROM sqlite_schema WHERE name IN ('thing', 'other', 'child')") == []
        assert place.ask("PRAGMA user_version") == [(1,)]
    assert len(list(place.backups.iterdir())) == 1


def test_a_first_start_that_fails_leaves_no_database(place: Place) -> None:
    place.add("0101_bad.sql", "CREATE TABL thing(a);")
    with pytest.raises(Unusable):
        place.prepare()
    assert not place.path.exists()
    place.add("0101_bad.sql", TABLE)
    place.prepare()
    assert place.ask("SELECT count(*) FROM thing") == [(0,)]


def test_tables_that_are_pointed_to_can_be_rebuilt(place: Place) -> None:
    place.add("0101_thing.sql", TABLE + " CREATE TABLE child(thing INTEGER REFERENCES thing(number)) STRICT;"
              " INSERT INTO thing(name) VALUES ('a'); INSERT INTO child VALUES (1);")
    place.prepare()
    place.add("0102_rebuild.sql", "CREATE TABLE thing2(number INTEGER PRIMARY KEY, name TEXT NOT NULL, more TEXT) STRICT;"
              " INSERT INTO thing2(number, name) SELECT number, name FROM thing; DROP TABLE thing;"
              " ALTER TABLE thing2 RENAME TO thing;")
    place.prepare()
    assert place.ask("SELECT name, thing FROM thing JOIN child ON child.thing = thing.number") == [("a", 1)]


def test_a_script_that_was_edited_after_it_ran_is_named(place: Place) -> None:
    place.add("0101_thing.sql", TABLE)
    place.prepare()
    place.add("0101_thing.sql", TABLE + " -- another column, please")
    place.add("0102_more.sql", "CREATE TABLE more(a TEXT) STRICT;")
    place.prepare()
    assert ("warning", "store.migration_changed", {"script": "0101_thing.sql"}) in place.log.lines


@pytest.mark.parametrize("name", ["101_short.sql", "01010_long.sql", "0101.sql", "0101-dash.sql", "abcd_word.sql"])
def test_a_migration_is_named_by_its_number(place: Place, name: str) -> None:
    place.add(name, TABLE)
    with pytest.raises(Unusable, match="NNNN_name"):
        place.prepare()


def test_two_migrations_cannot_share_a_number(place: Place) -> None:
    place.add("0101_one.sql", TABLE)
    place.add("0101_two.sql", TABLE)
    with pytest.raises(Unusable, match="0101_two"):
        place.prepare()


@pytest.mark.parametrize("text, expected", [
    ("", 0), ("-- only words; here\n", 0), ("SELECT 1;", 1), ("SELECT ';';", 1), ("SELECT 1; -- a; b\nSELECT 2;", 2),
    ("/* a; b */ SELECT 1;\n\n", 1), ("SELECT 1;;", 2),
    ("CREATE TRIGGER t AFTER INSERT ON x BEGIN SELECT 1; SELECT 2; END; SELECT 3;", 2),
])
def test_a_script_is_cut_into_statements(text: str, expected: int) -> None:
    assert len(list(migrate.statements(text))) == expected


# --- refusing

def test_a_newer_schema_is_refused(place: Place) -> None:
    place.prepare()
    place.add("0199_future.sql", TABLE)
    place.prepare()
    (place.scripts / "0199_future.sql").unlink()
    place.refused("newer version of this program.*0199_future")


def test_a_higher_version_in_the_header_is_refused(place: Place) -> None:
    place.prepare()
    place.ask("PRAGMA user_version = 9000")
    place.refused("newer version")


def test_the_database_of_another_program_is_refused(place: Place) -> None:
    place.ask("CREATE TABLE theirs(a)")
    place.refused("another program")


def test_a_foreign_database_with_work_in_its_log_is_not_touched(place: Place) -> None:
    """Opening it with SQLite would fold the log into the file."""
    import shutil
    living = sqlite3.connect(place.path.with_name("living.db"), isolation_level=None)
    living.execute("PRAGMA journal_mode = WAL")
    living.execute("PRAGMA application_id = 1196444487")
    living.execute("CREATE TABLE theirs(a)")
    for ending in ("", "-wal"):
        shutil.copy(str(place.path.with_name("living.db")) + ending, str(place.path) + ending)
    living.close()
    place.refused("another program")


@pytest.mark.parametrize("data", [b"hello, I am not a database\n" * 50, b"SQLite format 3\0", b"\0" * 4096, b"x"])
def test_a_file_that_is_no_database_is_refused(place: Place, data: bytes) -> None:
    place.path.write_bytes(data)
    place.refused("not a database, or is damaged")


def test_an_empty_file_counts_as_none(place: Place) -> None:
    place.path.touch()
    place.prepare()
    assert place.ask("PRAGMA user_version") == [(1,)]


def filled(place: Place) -> int:
    """A database with enough in it that damage can hit something."""
    place.add("0101_thing.sql", TABLE)
    place.prepare()
    plain = sqlite3.connect(place.path)
    plain.executemany("INSERT INTO thing(name) VALUES (?)", [(f"name {number} " * 20,) for number in range(2000)])
    plain.commit()
    plain.close()
    return place.path.stat().st_size


@pytest.mark.parametrize("cut", [1, 4096, 100_000])
def test_a_file_that_was_cut_short_is_refused(place: Place, cut: int) -> None:
    size = filled(place)
    with open(place.path, "r+b") as file:
        file.truncate(size - cut)
    place.refused("damaged")


@pytest.mark.parametrize("page", [2, 10, 30])
def test_a_page_of_rubbish_is_found_and_refused(place: Place, page: int) -> None:
    filled(place)
    with open(place.path, "r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(os.urandom(4096))
    place.refused("damaged")


def test_a_broken_first_page_is_refused(place: Place) -> None:
    filled(place)
    with open(place.path, "r+b") as file:
        file.seek(100)
        file.write(os.urandom(3000))
    place.refused("damaged")


def test_a_missing_list_of_migrations_is_damage(place: Place) -> None:
    place.prepare()
    place.ask("DROP TABLE migration")
    place.refused("list of migrations is missing")


def test_a_folder_in_place_of_the_database_is_refused(place: Place) -> None:
    place.path.mkdir()
    with pytest.raises(Unusable):
        place.prepare()


def test_a_log_without_its_database_is_put_aside_and_not_taken_for_the_new_ones(place: Place) -> None:
    place.prepare()
    old = opening.for_writing(place.path)
    old.execute("INSERT INTO meta(name, value) VALUES ('old', 'row')")
    log = place.path.with_name("ocp.db-wal").read_bytes()
    old.close()
    place.path.unlink()
    place.path.with_name("ocp.db-wal").write_bytes(log)
    place.prepare()
    assert place.ask("SELECT value FROM meta WHERE name = 'old'") == []
    assert place.path.with_name("ocp.db-wal.left").read_bytes() == log


def test_a_full_disk_at_the_first_start_leaves_nothing_behind(place: Place) -> None:
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(Unusable):
            place.prepare()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not place.path.exists()
    place.prepare()
    assert place.ask("PRAGMA user_version") == [(1,)]


def test_the_check_names_what_is_wrong_for_doctor(place: Place) -> None:
    filled(place)
    assert migrate.check(place.path) == ""
    with open(place.path, "r+b") as file:
        file.seek(4096 * 20)
        file.write(os.urandom(4096))
    assert migrate.check(place.path) != ""


def test_a_row_that_points_nowhere_is_found_by_the_check(place: Place) -> None:
    place.add("0101_thing.sql", TABLE + " CREATE TABLE child(thing INTEGER REFERENCES thing(number)) STRICT;")
    place.prepare()
    plain = sqlite3.connect(place.path)
    plain.execute("INSERT INTO child VALUES (5)")
    plain.commit()
    plain.close()
    assert "missing" in migrate.check(place.path)

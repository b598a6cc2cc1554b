"""Backups and restores: whole, private, checked, and never half done."""

from __future__ import annotations

import errno
import io
import json
import os
import sqlite3
import stat
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ocp_node.base.clock import SetClock
from ocp_node.base.errors import Unusable
from ocp_node.base.ids import Ids
from ocp_node.base.log import silent
from ocp_node.store import restore as restoring
from ocp_node.store.backup import Places, backup, copy_database
from ocp_node.store.connection import for_reading, for_writing
from ocp_node.store.lock import NodeLock
from ocp_node.store.opening import Store, open_store
from ocp_node.store.restore import finish, restore
from ocp_node.store.writer import WriteConnection

CLOCK = SetClock()


def opened(data: Path) -> Store:
    return open_store(data, CLOCK, Ids(), silent(), lambda act: act())


def say(store: Store, text: str) -> None:
    store.writer.run(lambda connection: connection.event("mesh.said", subject=text))


def said(data: Path) -> list[str]:
    store = opened(data)
    try:
        with store.reader.snapshot() as connection:
            return [subject for (subject,) in connection.execute("SELECT subject FROM event ORDER BY seq")]
    finally:
        store.close()


def a_node(data: Path, words: str) -> None:
    """A data folder as a node leaves it."""
    store = opened(data)
    say(store, words)
    store.close()
    for name, text in (("identity/identity.json", words), ("identity/secrets.key", "key of " + words), ("ocp.toml", f"# {words}"),
                       ("artifacts/ab/abcd", "blob of " + words), ("workspace/big", "not in a backup"),
                       ("files/up.txt", "upload of " + words), ("identity/new.part", "half")):
        (data / name).parent.mkdir(mode=0o700, exist_ok=True, parents=True)
        (data / name).write_text(text)


def names(file: Path) -> list[str]:
    with tarfile.open(file) as archive:
        return archive.getnames()


def aside(data: Path) -> list[str]:
    return sorted(name for name in os.listdir(data) if ".before-restore-" in name)


# --- taking one

def test_a_backup_holds_what_makes_the_node_itself_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    a_node(tmp_path / "data", "first")
    (tmp_path / "data" / "identity" / "link").symlink_to("/etc/passwd")
    made = backup(tmp_path / "data", tmp_path, CLOCK)
    assert made.name == "ocp-backup-20270115T080000Z.tar" and stat.S_IMODE(made.stat().st_mode) == 0o600
    assert names(made) == ["ocp.db", "identity/identity.json", "identity/secrets.key", "ocp.toml", "backup.json"]
    assert sorted(os.listdir(tmp_path)) == ["data", made.name]
    with_blobs = names(backup(tmp_path / "data", tmp_path / "with-blobs.tar", CLOCK, blobs=True))
    assert set(with_blobs) - set(names(made)) == {"artifacts/ab/abcd", "files/up.txt"}


def test_a_backup_while_the_node_writes_is_one_moment_of_it(tmp_path: Path) -> None:
    """Each change adds two rows; a copy that mixes moments would hold an odd one, or break."""
    store = opened(tmp_path / "data")
    store.writer.run(lambda connection: connection.execute(
        "CREATE TABLE pair(number INTEGER PRIMARY KEY, side TEXT, filler TEXT) STRICT"))
    stop = threading.Event()
    filler = "x" * 3000

    def twice(connection: WriteConnection) -> None:
        connection.execute("INSERT INTO pair(side, filler) VALUES ('left', ?)", (filler,))
        connection.execute("INSERT INTO pair(side, filler) VALUES ('right', ?)", (filler,))
        connection.execute("UPDATE meta SET value = value || '.' WHERE name = 'log_id' AND length(value) < 60000")

    def write() -> None:
        while not stop.is_set():
            store.writer.run(twice)

    for _ in range(3000):
        store.writer.run(twice)
    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    sizes = []
    for number in range(3):
        made = backup(tmp_path / "data", tmp_path / f"{number}.tar", CLOCK)
        with tarfile.open(made) as archive:
            archive.extract("ocp.db", tmp_path / str(number), filter="data")
        plain = sqlite3.connect(tmp_path / str(number) / "ocp.db")
        left, right = (plain.execute("SELECT count(*) FROM pair WHERE side = ?", (side,)).fetchone()[0]
                       for side in ("left", "right"))
        dots = plain.execute("SELECT length(value) - 32 FROM meta WHERE name = 'log_id'").fetchone()[0]
        assert plain.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        plain.close()
        assert left == right == dots >= 3000
        sizes.append(left)
    stop.set()
    for thread in threads:
        thread.join()
    store.close()
    assert sizes[0] < sizes[1] < sizes[2], "there was writing between the copies"


def test_the_copy_of_a_database_is_a_single_file_without_a_log(tmp_path: Path) -> None:
    store = opened(tmp_path / "data")
    say(store, "in the log")
    source = for_reading(tmp_path / "data" / "ocp.db")
    copy_database(source, tmp_path / "copy.db")
    source.close()
    store.close()
    assert sorted(os.listdir(tmp_path)) == ["copy.db", "data"] and stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    plain = sqlite3.connect(tmp_path / "copy.db")
    assert plain.execute("SELECT subject FROM event").fetchone() == ("in the log",)
    plain.close()


def test_a_backup_overwrites_nothing(tmp_path: Path) -> None:
    a_node(tmp_path / "data", "first")
    (tmp_path / "taken.tar").write_text("precious")
    with pytest.raises(Unusable, match="exists"):
        backup(tmp_path / "data", tmp_path / "taken.tar", CLOCK)
    assert (tmp_path / "taken.tar").read_text() == "precious"


def test_there_is_no_backup_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="no database"):
        backup(tmp_path, tmp_path / "b.tar", CLOCK)
    assert os.listdir(tmp_path) == []


def test_a_damaged_database_is_not_passed_on_as_a_backup(tmp_path: Path) -> None:
    a_node(tmp_path / "data", "first")
    size = (tmp_path / "data" / "ocp.db").stat().st_size
    with open(tmp_path / "data" / "ocp.db", "r+b") as file:
        file.seek(4096 * 2)
        file.write(os.urandom(min(4096 * 4, size - 8192)))
    with pytest.raises(Unusable, match="damaged"):
        backup(tmp_path / "data", tmp_path, CLOCK)
    assert os.listdir(tmp_path) == ["data"]


def test_parts_that_a_setting_moved_are_found_and_put_back_where_they_belong(tmp_path: Path) -> None:
    places = Places(tmp_path / "data", database=tmp_path / "db" / "node.db", identity=tmp_path / "id")
    (tmp_path / "id").mkdir()
    (tmp_path / "id" / "identity.json").write_text("moved")
    store = open_store(tmp_path / "data", CLOCK, Ids(), silent(), lambda act: act(), database=tmp_path / "db" / "node.db")
    say(store, "moved")
    store.close()
    made = backup(tmp_path / "data", tmp_path, CLOCK, places=places)
    (tmp_path / "id" / "identity.json").write_text("changed")
    assert restore(tmp_path / "data", made, CLOCK, Ids(), places=places) == ["ocp.db", "identity"]
    assert (tmp_path / "id" / "identity.json").read_text() == "moved"
    assert len(aside(tmp_path / "db")) == 1 and aside(tmp_path) == ["id.before-restore-20270115T080000Z"]


# --- putting it back

def test_a_restore_brings_everything_back_and_keeps_what_it_replaced(tmp_path: Path) -> None:
    data = tmp_path / "data"
    a_node(data, "first")
    made = backup(data, tmp_path, CLOCK, blobs=True)
    a_node(data, "second")
    assert restore(data, made, CLOCK, Ids()) == ["ocp.db", "identity", "ocp.toml", "artifacts", "files"]
    assert said(data) == ["first"]
    files = ("identity/identity.json", "identity/secrets.key", "ocp.toml", "artifacts/ab/abcd")
    assert [(data / name).read_text() for name in files] == ["first", "key of first", "# first", "blob of first"]
    assert aside(data) == [f"{name}.before-restore-20270115T080000Z"
                           for name in ("artifacts", "files", "identity", "ocp.db", "ocp.toml")]
    assert (data / aside(data)[2] / "identity.json").read_text() == "second"
    kept = sqlite3.connect(data / "ocp.db.before-restore-20270115T080000Z")
    assert kept.execute("SELECT count(*) FROM event").fetchone() == (2,)
    kept.close()
    modes = [stat.S_IMODE((data / name).stat().st_mode)
             for name in ("ocp.db", "identity", "identity/secrets.key", "artifacts/ab")]
    assert modes == [0o600, 0o700, 0o600, 0o700]
    assert not (data / "restore.part").exists() and not (data / "restore.ready").exists()


def test_a_restore_into_an_empty_place_makes_the_node(tmp_path: Path) -> None:
    a_node(tmp_path / "old", "first")
    made = backup(tmp_path / "old", tmp_path, CLOCK)
    restore(tmp_path / "new", made, CLOCK, Ids())
    assert said(tmp_path / "new") == ["first"] and aside(tmp_path / "new") == []


def test_a_restored_log_has_a_new_name_so_that_followers_notice(tmp_path: Path) -> None:
    a_node(tmp_path / "data", "first")
    store = opened(tmp_path / "data")
    before = store.writer.feed.log_id
    store.close()
    restore(tmp_path / "data", backup(tmp_path / "data", tmp_path, CLOCK), CLOCK, Ids())
    store = opened(tmp_path / "data")
    assert store.writer.feed.log_id not in ("", before)
    store.close()


def test_restoring_twice_in_a_second_loses_nothing(tmp_path: Path) -> None:
    a_node(tmp_path / "data", "first")
    made = backup(tmp_path / "data", tmp_path, CLOCK)
    for _ in range(3):
        restore(tmp_path / "data", made, CLOCK, Ids())
    assert len([name for name in aside(tmp_path / "data") if name.startswith("ocp.db")]) == 3


def test_nothing_is_restored_under_a_running_node(tmp_path: Path) -> None:
    a_node(tmp_path / "data", "first")
    made = backup(tmp_path / "data", tmp_path, CLOCK)
    with NodeLock(tmp_path / "data"), pytest.raises(Unusable, match="already uses"):
        restore(tmp_path / "data", made, CLOCK, Ids())


def test_the_log_of_the_replaced_database_goes_with_it(tmp_path: Path) -> None:
    """The node was killed: its log stands beside the database, and would be taken for the restored one's."""
    data = tmp_path / "data"
    a_node(data, "first")
    made = backup(data, tmp_path, CLOCK)
    crashed = for_writing(data / "ocp.db", WriteConnection)
    assert isinstance(crashed, WriteConnection)
    crashed.event("mesh.said", subject="only in the log")
    whole, log = (data / "ocp.db").read_bytes(), (data / "ocp.db-wal").read_bytes()
    crashed.close()
    (data / "ocp.db").write_bytes(whole)
    (data / "ocp.db-wal").write_bytes(log)
    restore(data, made, CLOCK, Ids())
    assert said(data) == ["first"]
    kept = sqlite3.connect(data / "ocp.db.before-restore-20270115T080000Z")
    assert kept.execute("SELECT subject FROM event ORDER BY seq").fetchall() == [("first",), ("only in the log",)]
    kept.close()


class Dies(Exception):
    """The process ends here."""


@pytest.mark.parametrize("apart", [False, True], ids=["one file system", "parts on another one"])
@pytest.mark.parametrize("step", range(20))
def test_a_restore_that_is_cut_off_at_any_rename_is_finished_by_the_next_start(
        tmp_path: Path, step: int, apart: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Power goes before the n-th change of a name: afterwards the state is wholly the old one or wholly the new one."""
    data = tmp_path / "data"
    a_node(data, "first")
    made = backup(data, tmp_path, CLOCK)
    a_node(data, "second")
    count = [0]
    if apart:
        rename = os.rename

        def refused(source: Path, target: Path) -> None:
            if Path(source).parent.name == "restore.ready":
                raise OSError(errno.EXDEV, "another file system")
            rename(source, target)

        monkeypatch.setattr(os, "rename", refused)

    def dying(real: Callable[..., None]) -> Callable[..., None]:
        def call(*values: object, **named: object) -> None:
            count[0] += 1
            if count[0] > step:
                raise Dies
            real(*values, **named)

        return call

    with monkeypatch.context() as patch:
        for name in ("rename", "replace"):
            patch.setattr(os, name, dying(getattr(os, name)))
        patch.setattr(restoring, "_remove", dying(restoring._remove))
        try:
            restore(data, made, CLOCK, Ids())
        except Dies:
            pass
    now = said(data)                         # the next start
    assert now in (["first", "second"], ["first"])
    words = "second" if len(now) == 2 else "first"
    assert [(data / name).read_text() for name in ("identity/identity.json", "ocp.toml")] == [words, f"# {words}"]
    if words == "first":
        kept = {name.split(".before")[0]: data / name for name in aside(data)}
        assert kept.keys() == {"ocp.db", "identity", "ocp.toml"} and not (data / "restore.ready").exists()
        assert kept["ocp.toml"].read_text() == "# second" and (kept["identity"] / "identity.json").read_text() == "second"
    restore(data, made, CLOCK, Ids())
    assert said(data) == ["first"] and not (data / "restore.part").exists()


def test_there_is_nothing_to_finish_on_an_ordinary_day(tmp_path: Path) -> None:
    assert finish(tmp_path) is False


# --- what a restore refuses

def rewritten(made: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The archive with other members; its list of members as it was, unless changed too."""
    with tarfile.open(made) as archive:
        members = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    change(members)
    with tarfile.open(target, "w") as archive:
        for name, data in members.items():
            facts = tarfile.TarInfo(name)
            facts.size = len(data)
            archive.addfile(facts, io.BytesIO(data))
    return target


def flip(members: dict[str, bytes]) -> None:
    members["ocp.db"] = members["ocp.db"][:5000] + b"\xff" + members["ocp.db"][5001:]


def listed(change: Callable[[dict[str, object]], None]) -> Callable[[dict[str, bytes]], None]:
    def apply(members: dict[str, bytes]) -> None:
        manifest = json.loads(members["backup.json"])
        change(manifest)
        members["backup.json"] = json.dumps(manifest).encode()

    return apply


@pytest.mark.parametrize("change, words", [
    (flip, "not as it was written"),
    (lambda members: members.pop("identity/identity.json"), "identity/identity.json is not as it was"),
    (lambda members: members.pop("ocp.db"), "ocp.db is not as it was"),
    (lambda members: members.pop("backup.json"), "cut short"),
    (lambda members: members.update({"identity/extra": b"x"}), "identity/extra is not as it was"),
    (lambda members: members.update({"../escaped": b"x"}), "not a plain file"),
    (lambda members: members.update({"identity/../../escaped": b"x"}), "not a plain file"),
    (lambda members: members.update({"/tmp/escaped": b"x"}), "not a plain file"),
    (lambda members: members.update({"identity//x": b"x"}), "not a plain file"),
    (lambda members: members.update({"node.lock": b"x"}), "no part of a node"),
    (lambda members: members.update({"ocp.db-wal": b"x"}), "no part of a node"),
    (lambda members: members.update({"ocp.db/x": b"x"}), "no part of a node"),
    (lambda members: members.update({"identity": b"x"}), "no part of a node"),
    (lambda members: members.update({"plan.json": b"{}"}), "no part of a node"),
    (listed(lambda manifest: manifest.update(format="ocp-backup/2")), "newer version"),
    (listed(lambda manifest: manifest.update(members="all")), "another program"),
    (lambda members: members.update({"backup.json": b"{"}), "is damaged"),
    (lambda members: members.update({"backup.json": b'{"format":"ocp-backup/1","members":[{}]}'}), "is damaged"),
])
def test_a_hostile_or_damaged_backup_is_refused_and_nothing_has_changed(
        tmp_path: Path, change: Callable[[dict[str, bytes]], None], words: str) -> None:
    data = tmp_path / "data"
    a_node(data, "first")
    made = backup(data, tmp_path, CLOCK)
    bad = rewritten(made, tmp_path / "bad.tar", change)
    before = sorted((path.relative_to(tmp_path).as_posix(), path.read_bytes()) for path in data.rglob("*") if path.is_file())
    with pytest.raises(Unusable, match=words):
        restore(data, bad, CLOCK, Ids())
    after = sorted((path.relative_to(tmp_path).as_posix(), path.read_bytes()) for path in data.rglob("*") if path.is_file())
    assert [each for each in after if each[0] != "data/node.lock"] == [each for each in before if each[0] != "data/node.lock"]
    assert not (tmp_path / "escaped").exists() and not Path("/tmp/escaped").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_only_plain_files_come_out_of_a_backup(tmp_path: Path, kind: bytes) -> None:
    a_node(tmp_path / "data", "first")
    made = backup(tmp_path / "data", tmp_path, CLOCK)
    with tarfile.open(made, "a") as archive:
        facts = tarfile.TarInfo("identity/special")
        facts.type, facts.linkname = kind, "/etc/passwd"
        archive.addfile(facts)
    with pytest.raises(Unusable, match="not a plain file"):
        restore(tmp_path / "data", made, CLOCK, Ids())
    assert said(tmp_path / "data") == ["first"]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_backup_that_was_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    a_node(tmp_path / "data", "first")
    made = backup(tmp_path / "data", tmp_path, CLOCK)
    with open(made, "r+b") as file:
        file.truncate(int(made.stat().st_size * share))
    with pytest.raises(Unusable, match="damaged|cut short"):
        restore(tmp_path / "data", made, CLOCK, Ids())
    assert said(tmp_path / "data") == ["first"]


@pytest.mark.parametrize("content", [b"", b"not an archive at all" * 100, b"SQLite format 3\0" + bytes(5000)])
def test_a_file_that_is_no_backup_is_refused(tmp_path: Path, content: bytes) -> None:
    a_node(tmp_path / "data", "first")
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(Unusable, match="not a backup"):
        restore(tmp_path / "data", tmp_path / "file", CLOCK, Ids())


def test_a_backup_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="the backup .*none.tar does not exist, or is no file; nothing was changed"):
        restore(tmp_path / "data", tmp_path / "none.tar", CLOCK, Ids())
    assert not (tmp_path / "data").exists()


def test_the_backup_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    a_node(data, "first")
    plain = for_writing(data / "ocp.db")
    plain.execute("INSERT INTO migration VALUES (9999, 'future', '', '')")
    plain.close()
    made = backup(data, tmp_path, CLOCK)
    with pytest.raises(Unusable, match="newer version"):
        restore(tmp_path / "other", made, CLOCK, Ids())
    assert not (tmp_path / "other" / "ocp.db").exists()

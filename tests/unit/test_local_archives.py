"""Archives on this machine's own disk: no link is followed, nothing of another user's is used."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from maintenance.archives import ArchivePlace
from maintenance.archives.objects import Folder, subfolders
from maintenance.errors import ArchiveError
from maintenance.names import QualifiedName

TABLE = QualifiedName("public", "events")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "manifest.json").write_bytes(b"theirs")
    return folder


@pytest.fixture
def place(tmp_path: Path) -> ArchivePlace:
    return ArchivePlace(str(tmp_path / "archive"), "app", TABLE, "2024-01")


def path_of(place: ArchivePlace) -> Path:
    return Path(place.url).joinpath(*place.segments)


def link_period(place: ArchivePlace, outside: Path) -> None:
    path_of(place).parent.mkdir(parents=True)
    path_of(place).symlink_to(outside)


def link_table(place: ArchivePlace, outside: Path) -> None:
    path_of(place).parent.parent.mkdir(parents=True)
    path_of(place).parent.symlink_to(outside)


def link_file(place: ArchivePlace, outside: Path) -> None:
    path_of(place).mkdir(parents=True)
    (path_of(place) / "manifest.json").symlink_to(outside / "manifest.json")


def link_to_nothing(place: ArchivePlace, outside: Path) -> None:
    path_of(place).mkdir(parents=True)
    (path_of(place) / "manifest.json").symlink_to(outside / "new")


def link_part(place: ArchivePlace, outside: Path) -> None:
    path_of(place).mkdir(parents=True)
    (path_of(place) / "manifest.json.part").symlink_to(outside / "manifest.json")


def make_pipe(place: ArchivePlace, outside: Path) -> None:
    path_of(place).mkdir(parents=True)
    os.mkfifo(path_of(place) / "manifest.json")


LINKS = [link_period, link_table, link_file, link_to_nothing, link_part, make_pipe]


@pytest.mark.parametrize("link", LINKS)
def test_nothing_is_written_through_a_link(
    place: ArchivePlace, outside: Path, link: Callable[[ArchivePlace, Path], None]
) -> None:
    link(place, outside)
    with pytest.raises(ArchiveError) as caught:
        Folder(place).put("manifest.json", b"ours")
    assert caught.value.reason == "link"
    assert {path.name: path.read_bytes() for path in outside.rglob("*") if path.is_file()} == {
        "manifest.json": b"theirs"
    }


@pytest.mark.parametrize("link", [link_period, link_file, make_pipe])
def test_nothing_is_read_through_a_link(
    place: ArchivePlace, outside: Path, link: Callable[[ArchivePlace, Path], None]
) -> None:
    link(place, outside)
    for look in (Folder(place).read, Folder(place).size_of, Folder(place).open):
        with pytest.raises(ArchiveError) as caught:
            look("manifest.json")
        assert caught.value.reason == "link"
    assert subfolders(place.url, "app", TABLE) == ["2024-01"]


def test_the_configured_folder_itself_may_be_a_link(place: ArchivePlace, outside: Path) -> None:
    Path(place.url).symlink_to(outside)
    Folder(place).put("manifest.json", b"ours")
    assert Folder(place).read("manifest.json") == b"ours"
    assert (outside / "manifest.json").read_bytes() == b"theirs"


def test_a_hard_link_to_another_file_is_replaced_and_not_written_into(
    place: ArchivePlace, outside: Path
) -> None:
    path_of(place).mkdir(parents=True)
    for name in ("manifest.json", "manifest.json.part"):
        os.link(outside / "manifest.json", path_of(place) / name)
    Folder(place).put("manifest.json", b"ours")
    assert Folder(place).read("manifest.json") == b"ours"
    assert (outside / "manifest.json").read_bytes() == b"theirs"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("whose", ["manifest.json", "."])
def test_what_belongs_to_another_user_is_not_used(place: ArchivePlace, whose: str) -> None:
    Folder(place).put("manifest.json", b"ours")
    os.chown(path_of(place) / whose, 12345, 12345)
    for act in (
        lambda: Folder(place).read("manifest.json"),
        lambda: Folder(place).put("manifest.json", b"x"),
    ):
        with pytest.raises(ArchiveError, match="12345") as caught:
            act()
        assert caught.value.reason == "another_owner"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_belongs_to_the_owner_of_the_configured_folder_is_used(place: ArchivePlace) -> None:
    Folder(place).put("manifest.json", b"ours")
    for path in (Path(place.url), *Path(place.url).rglob("*")):
        os.chown(path, 12345, 12345)
    assert Folder(place).read("manifest.json") == b"ours"

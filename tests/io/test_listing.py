"""What source arguments lead to."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from p2pcli.errors import UsageError
from p2pcli.io.codec import encode
from p2pcli.io.listing import list_media

_PNG = encode(np.zeros((2, 2, 3), np.uint8), ".png")
_MP4 = b"\x00\x00\x00\x20ftypisom" + bytes(32)


def _make(folder: Path, *names: str, data: bytes = _PNG) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def _keys(*sources: str | Path) -> list[str]:
    return [entry.key for entry in list_media(sources).entries]


def test_a_folder_is_listed_with_everything_below_in_bytes_order(tmp_path: Path) -> None:
    _make(tmp_path, "b.png", "a/2.png", "a/10.png", "ä.png", "Z.png", "a-b.png")
    assert _keys(tmp_path) == ["Z", "a-b", "a/10", "a/2", "b", "ä"]


def test_an_entry_has_key_relative_path_and_kind(tmp_path: Path) -> None:
    _make(tmp_path, "a/film.mov", data=_MP4)
    (entry,) = list_media(tmp_path).entries
    assert (entry.key, entry.relative, entry.kind) == ("a/film", "a/film.mov", "video")
    assert entry.path == tmp_path / "a/film.mov"


def test_content_goes_before_suffix_and_suffix_serves_the_corrupt(tmp_path: Path) -> None:
    _make(tmp_path, "really-png.mp4", "no-suffix")
    _make(tmp_path, "empty.jpg", data=b"")
    _make(tmp_path, "corrupt.mkv", data=b"xxxx")
    _make(tmp_path, "notes.md", data=b"# notes")
    listing = list_media(tmp_path)
    assert {entry.relative: entry.kind for entry in listing.entries} == {
        "really-png.mp4": "image",
        "no-suffix": "image",
        "empty.jpg": "image",
        "corrupt.mkv": "video",
    }
    assert [(item.path.name, item.reason) for item in listing.skipped] == [
        ("notes.md", "neither an image nor a video")
    ]


def test_kinds_not_asked_for_are_skipped_with_the_reason(tmp_path: Path) -> None:
    _make(tmp_path, "a.png")
    _make(tmp_path, "b.mp4", data=_MP4)
    listing = list_media(tmp_path, kinds=("image",))
    assert [entry.key for entry in listing.entries] == ["a"]
    assert [item.reason for item in listing.skipped] == ["a video, not asked for"]


def test_hidden_files_junk_and_what_p2p_wrote_are_left_out(tmp_path: Path) -> None:
    _make(
        tmp_path, "a.png", ".hidden.png", ".git/x.png", "__MACOSX/y.png", "set/.p2p/m.png", "set/preview.png"
    )
    _make(tmp_path, "run/recipe.toml", "run/log.jsonl", data=b"x")
    _make(tmp_path, "run/samples/1.png")
    listing = list_media(tmp_path)
    assert [entry.key for entry in listing.entries] == ["a"]
    assert [(item.path.name, item.reason) for item in listing.skipped] == [
        ("run", "written by p2p"),
        ("set", "written by p2p"),
    ]


def test_a_folder_that_p2p_wrote_can_be_named_itself(tmp_path: Path) -> None:
    _make(tmp_path, ".p2p/manifest.json", data=b"{}")
    assert _keys(_make(tmp_path, "a.png")) == ["a"]


def test_two_files_that_would_share_a_key_keep_their_suffixes(tmp_path: Path) -> None:
    assert _keys(_make(tmp_path, "a.jpg", "a.png", "A.tif", "a.jpg.png", "b.png")) == [
        "A.tif",
        "a.jpg",
        "a.jpg.png",
        "a.png",
        "b",
    ]


def test_keys_are_unique_and_do_not_depend_on_the_order_of_sources(tmp_path: Path) -> None:
    _make(tmp_path, "x/a.jpg", "x/a.png", "y/a.png", "x/sub/a.webp")
    forward, backward = _keys(tmp_path / "x", tmp_path / "y"), _keys(tmp_path / "y", tmp_path / "x")
    assert forward == backward == ["x/a.jpg", "x/a.png", "x/sub/a", "y/a"]


def test_several_folders_of_equal_name_are_refused(tmp_path: Path) -> None:
    _make(tmp_path, "x/img/a.png", "y/img/a.png")
    with pytest.raises(UsageError, match=r"both called 'img'.*Rename one of them"):
        list_media([tmp_path / "x/img", tmp_path / "y/img"])


def test_names_that_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    _make(tmp_path, "photo.png", "Photo.png")
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("the file system ignores case")
    with pytest.raises(UsageError, match=r"'Photo\.png' and 'photo\.png' differ in case alone"):
        list_media(tmp_path)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", ["1", "2"]),
        ("**/*.png", ["1", "2", "a/3", "a/b/4"]),
        ("a/**/*.png", ["3", "b/4"]),
        ("*/*.png", ["a/3"]),
        ("[1]*", ["1"]),
        ("a/**", ["3", "b/4"]),
        ("?.p*", ["1", "2"]),
        ("nothing*", []),
        ("a?3.png", []),
        ("**/b/*", ["a/b/4"]),
        ("**/a/**/*.png", ["a/3", "a/b/4"]),
    ],
)
def test_globs_match_as_in_a_shell(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    _make(tmp_path, "1.png", "2.png", "a/3.png", "a/b/4.png", ".hidden.png")
    assert _keys(str(tmp_path / pattern)) == expected


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    assert _keys(_make(tmp_path, "a[1].png") / "a[1].png") == ["a[1]"]


def test_single_files_go_by_their_names_or_by_their_folders_where_names_repeat(tmp_path: Path) -> None:
    _make(tmp_path, "x/1.png", "y/1.png", "x/2.png")
    assert _keys(tmp_path / "x/1.png", tmp_path / "x/2.png") == ["1", "2"]
    assert _keys(tmp_path / "x/1.png", tmp_path / "y/1.png") == ["x/1", "y/1"]


def test_a_list_file_names_files_relative_to_itself(tmp_path: Path) -> None:
    _make(tmp_path, "set/a.png", "set/b/c.png", "outside.png")
    (tmp_path / "set/list.txt").write_text("a.png\n\nb/c.png\n../outside.png\ngone.jpg\nb\n")
    listing = list_media(tmp_path / "set/list.txt")
    assert [entry.key for entry in listing.entries] == ["a", "b/c", "gone", "outside"]
    assert [item.reason for item in listing.skipped] == ["a folder; a list names files"]


def test_a_line_of_a_list_that_names_nothing_is_a_failure(tmp_path: Path) -> None:
    _make(tmp_path, "a.png")
    (tmp_path / "list.txt").write_text("a.png\nb\n")
    (left_out,) = list_media(tmp_path / "list.txt").skipped
    assert left_out.is_failure
    assert left_out.reason == "named in list.txt, but there is no such file. Check the line."


def test_a_file_that_two_sources_lead_to_is_listed_once(tmp_path: Path) -> None:
    _make(tmp_path, "p/a.png")
    listing = list_media([tmp_path / "p", tmp_path / "p/a.png"])
    assert [entry.key for entry in listing.entries] == ["a"]
    assert [item.reason for item in listing.skipped] == ["named by two sources"]


def test_loops_of_links_end_and_broken_links_are_skipped(tmp_path: Path) -> None:
    _make(tmp_path, "a/1.png")
    (tmp_path / "a/loop").symlink_to(tmp_path)
    (tmp_path / "a/again").symlink_to(tmp_path / "a")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    listing = list_media(tmp_path)
    assert [entry.key for entry in listing.entries] == ["a/1"]
    assert [item.path.name for item in listing.skipped] == ["broken"]


def test_the_output_below_a_source_is_left_out(tmp_path: Path) -> None:
    _make(tmp_path, "a.png", "out/b.png", "out/deep/c.png")
    listing = list_media(tmp_path, exclude=[tmp_path / "out"])
    assert [entry.key for entry in listing.entries] == ["a"]
    assert [(item.path.name, item.reason) for item in listing.skipped] == [("out", "the output")]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_unreadable_folders_are_skipped_and_unreadable_pictures_stay(tmp_path: Path) -> None:
    _make(tmp_path, "closed/a.png", "b.png")
    (tmp_path / "closed").chmod(0)
    (tmp_path / "b.png").chmod(0)
    listing = list_media(tmp_path)
    (tmp_path / "closed").chmod(0o700)
    assert [entry.key for entry in listing.entries] == ["b"]
    assert "cannot be read" in listing.skipped[0].reason


def test_a_folder_that_may_not_be_searched_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _make(tmp_path, "closed/a.png", "b.png")
    system_listdir, system_stat = os.listdir, os.stat

    def listdir(path: Path) -> list[str]:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return system_listdir(path)

    def stat(path: Path, **options: bool) -> os.stat_result:
        if Path(path).parent.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return system_stat(path, **options)

    monkeypatch.setattr(os, "listdir", listdir)
    monkeypatch.setattr(os, "stat", stat)
    listing = list_media(tmp_path)
    assert [entry.key for entry in listing.entries] == ["b"]
    reason = "a folder that cannot be read (Permission denied). Check its permissions."
    assert [(item.reason, item.is_failure) for item in listing.skipped] == [(reason, True)]


def test_a_source_in_a_folder_that_may_not_be_read_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(folder: Path) -> list[Path]:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(UsageError, match=r"a\.png: .* cannot be read \(Permission denied\)\. Check its perm"):
        list_media(tmp_path / "a.png")


def test_a_missing_source_names_the_nearest(tmp_path: Path) -> None:
    _make(tmp_path, "photos/a.png")
    with pytest.raises(UsageError, match=r"photo: no such file or folder .* Did you mean 'photos'\?"):
        list_media(tmp_path / "photo")


@pytest.mark.parametrize("kind", [str, Path])
def test_an_address_is_refused_before_it_is_taken_for_a_path(kind: type[str] | type[Path]) -> None:
    with pytest.raises(UsageError, match=r"^https://example\.org/a\.png is an address; only local files are"):
        list_media(kind("https://example.org/a.png"))


def test_an_empty_folder_gives_an_empty_listing(tmp_path: Path) -> None:
    assert list_media(tmp_path).entries == ()


@pytest.mark.skipif(os.name == "nt", reason="names are bytes only on POSIX")
def test_a_name_that_is_not_utf8_has_a_key_that_can_be_stored(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.png")  # noqa: PTH118 - pathlib has no bytes paths
    try:
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(_PNG)
    except OSError:
        pytest.skip("the file system takes UTF-8 alone")
    (entry,) = list_media(tmp_path).entries
    assert entry.key == "caf%e9"
    assert entry.path.read_bytes() == _PNG


def test_one_folder_under_two_names_is_read_once(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    listing = list_media([tmp_path / "photos", tmp_path / "photos" / ".." / "photos"])
    assert [entry.key for entry in listing.entries] == ["photos/a"]


def test_an_address_is_told_from_a_path_though_a_path_lost_a_slash():
    with pytest.raises(UsageError, match="is an address; only local files are read"):
        list_media([Path("https://example.org/a.jpg")])


def test_a_pattern_that_matches_nothing_blames_no_neighbour(tmp_path):
    (tmp_path / "made" / ".p2p").mkdir(parents=True)
    listing = list_media(str(tmp_path / "nope*"))
    assert (listing.entries, listing.skipped) == ((), ())

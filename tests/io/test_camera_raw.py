"""Camera raw is told by its first bytes, listed as an image, and refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pcli.errors import ItemError
from p2pcli.io.codec import read_header, read_image
from p2pcli.io.listing import list_media
from p2pcli.io.sniff import sniff

_HEADS = {
    "Canon CR3": b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom",
    "Canon CR2": b"II*\0\x10\0\0\0CR\x02\0",
    "Canon CRW": b"II\x1a\0\0\0HEAPCCDR",
    "Fujifilm RAF": b"FUJIFILMCCD-RAW 0201FF383501X-T3",
    "Olympus ORF": b"IIRO\x08\0\0\0",
    "Panasonic RW2": b"IIU\0\x18\0\0\0",
    "Minolta MRW": b"\0MRM\0\0\0\0",
    "Sigma X3F": b"FOVb\x02\0\x02\0",
    "Phase One IIQ": b"II*\0\x08\0\0\0IIII",
}


@pytest.mark.parametrize("kind", _HEADS)
def test_raw_is_refused_by_name_and_never_left_aside(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(_HEADS[kind] + bytes(600))
    assert sniff(path.read_bytes()) == "image"
    assert [entry.kind for entry in list_media(tmp_path).entries] == ["image"]
    for read in (read_image, read_header):
        with pytest.raises(ItemError, match=rf"photo\.jpg: camera raw \({kind}\): .*Develop it"):
            read(path)

"""Strict reading of text, and outputs that are either the old ones or complete."""

import errno
import gzip
import hashlib

import pytest

from optical_ir.errors import ConfigError, DataError
from optical_ir.files import (
    check_output,
    iter_lines,
    sha256_file,
    sha256_text,
    write_file,
    write_folder,
)


def test_lines_come_numbered_and_without_line_ends(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("ẹ̀kọ́\n\n last  ", encoding="utf-8")
    assert list(iter_lines(path)) == [(1, "ẹ̀kọ́"), (2, ""), (3, " last  ")]


def test_separators_of_unicode_do_not_end_lines(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("a\u2028b\x0bc\x85d\n", encoding="utf-8")
    assert list(iter_lines(path)) == [(1, "a\u2028b\x0bc\x85d")]


def test_compressed_files_read_alike(tmp_path):
    path = tmp_path / "a.txt.gz"
    with write_file(path) as stream:
        stream.write("one\ntwo\n")
    assert gzip.decompress(path.read_bytes()) == b"one\ntwo\n"
    assert list(iter_lines(path)) == [(1, "one"), (2, "two")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected at least one line, found an empty file"),
        (b"\xef\xbb\xbfa\n", "line 1: starts with a byte order mark.*sed"),
        (b"a\nb\r\n", r"line 2: ends with CR LF \(Windows line ends\).*sed"),
        (b"a\nb\nca\xe9\n", r"line 3: is not UTF-8 \(byte 0xe9 at column 3\).*iconv"),
        (b"a\n\xff\xfeb\n", "line 2: is not UTF-8"),
    ],
)
def test_encoding_trouble_is_told_with_line_and_remedy(tmp_path, content, message):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(iter_lines(path))


def test_paths_that_are_no_files_are_errors(tmp_path):
    with pytest.raises(DataError, match=r"expected a file, found none. Check the path"):
        list(iter_lines(tmp_path / "none.txt"))
    with pytest.raises(DataError, match="expected a file, found a folder"):
        list(iter_lines(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be read"):
        list(iter_lines(tmp_path / "file" / "below"))


PACKED = gzip.compress(bytes(range(97, 123)) * 1000 + b"\n", mtime=0)


@pytest.mark.parametrize(
    "content",
    [b"no gzip\n", PACKED[:-20], PACKED[:20] + b"\xff\xff" + PACKED[22:], PACKED[:-8] + b"\0" * 8],
    ids=["plain text", "cut short", "damaged data", "wrong checksum"],
)
def test_damaged_compressed_files_are_errors(tmp_path, content):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a.txt.gz: cannot be read \("):
        list(iter_lines(path))


def test_a_written_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with write_file(path) as stream:
        stream.write("é\n")
        assert not path.exists()
    assert path.read_bytes() == b"\xc3\xa9\n"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_a_failed_write_leaves_the_old_file(tmp_path, name):
    path = tmp_path / name
    path.write_text("old")
    with pytest.raises(KeyError), write_file(path, overwrite=True) as stream:
        stream.write("new")
        raise KeyError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_text_is_compressed_to_the_same_bytes(tmp_path):
    for name in ("a.gz", "b.gz"):
        with write_file(tmp_path / name) as stream:
            stream.write("text\n" * 100)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def test_existing_output_is_refused_before_any_work(tmp_path):
    path = tmp_path / "a.txt"
    path.touch()
    with pytest.raises(ConfigError, match=r"exists. Choose another output or pass --overwrite"):
        check_output(path)
    assert check_output(path, overwrite=True) == path


def test_output_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot make this folder"):
        check_output(tmp_path / "file" / "below" / "a.txt")


def test_output_where_nothing_can_be_written_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(ConfigError, match=r"is not writable. Choose another output"):
        check_output(tmp_path / "a.txt")


def test_files_and_folders_do_not_replace_each_other(tmp_path):
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("old")
    folder.mkdir()
    with (
        pytest.raises(ConfigError, match="is a folder, expected a file"),
        write_file(folder, overwrite=True),
    ):
        pass
    with (
        pytest.raises(ConfigError, match="is a file, expected a folder"),
        write_folder(file, overwrite=True),
    ):
        pass
    assert file.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == [file, folder]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_the_user_s_to_mend(tmp_path, code):
    with (
        pytest.raises(ConfigError, match=r"no space left.*run the same command again"),
        write_file(tmp_path / "a.txt"),
    ):
        raise OSError(code, "full")
    assert not list(tmp_path.iterdir())


def test_other_system_errors_pass_through(tmp_path):
    with pytest.raises(OSError, match="broken"), write_file(tmp_path / "a.txt"):
        raise OSError(errno.EIO, "broken")


def test_a_folder_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "index"
    with write_folder(path) as part:
        (part / "a").write_text("1")
        assert not path.exists()
    assert (path / "a").read_text() == "1"
    assert list(tmp_path.iterdir()) == [path]


def test_an_overwritten_folder_holds_the_new_files_only(tmp_path):
    path = tmp_path / "index"
    path.mkdir()
    (path / "old").touch()
    with write_folder(path, overwrite=True) as part:
        (part / "new").touch()
    assert [file.name for file in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_folder_leaves_the_old_one(tmp_path):
    path = tmp_path / "index"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(KeyError), write_folder(path, overwrite=True) as part:
        (part / "new").touch()
        raise KeyError
    assert [file.name for file in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_an_unfinished_folder_is_handed_out_again_to_resume(tmp_path):
    path = tmp_path / "index"
    with pytest.raises(KeyError), write_folder(path, resume=True) as part:
        (part / "shard0").touch()
        raise KeyError
    assert not path.exists()
    with write_folder(path, resume=True) as part:
        assert [file.name for file in part.iterdir()] == ["shard0"]
        (part / "shard1").touch()
    assert sorted(file.name for file in path.iterdir()) == ["shard0", "shard1"]


def test_without_resume_an_unfinished_folder_is_emptied(tmp_path):
    path = tmp_path / "index"
    with pytest.raises(KeyError), write_folder(path, resume=True) as part:
        (part / "shard0").touch()
        raise KeyError
    with write_folder(path) as part:
        assert not list(part.iterdir())


def test_an_empty_file_is_fine_where_that_is_said(tmp_path):
    for name in ("a.txt", "a.txt.gz"):
        with write_file(tmp_path / name):
            pass
        assert list(iter_lines(tmp_path / name, may_be_empty=True)) == []


def test_sha256_of_a_text_is_that_of_what_a_file_unpacks_to(tmp_path):
    for name in ("a.txt", "a.txt.gz"):
        with write_file(tmp_path / name) as stream:
            stream.write("é\n")
        assert sha256_text(tmp_path / name) == hashlib.sha256("é\n".encode()).hexdigest()


def test_sha256_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc" * 100_000)
    assert sha256_file(path) == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_two_makers_of_one_folder_do_not_meet(tmp_path):
    with write_folder(tmp_path / "out") as part:
        (part / "first").touch()
        with (
            pytest.raises(ConfigError, match="another process is making it"),
            write_folder(tmp_path / "out"),
        ):
            pass
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["first", "out"]

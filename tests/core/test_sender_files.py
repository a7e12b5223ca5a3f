"""Files of mail senders in a folder: each by itself, whatever lies beside it."""

import os

import pytest

from envoi.senderfiles import SenderFiles

UP = '<beans><bean class="ome.services.mail.ServerUpMailSender"/></beans>'


def gone(path):
    path.symlink_to(path.parent / "nowhere")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (gone, "No such file or directory"),
        (lambda path: path.mkdir(), "expected a file, got none"),
        (os.mkfifo, "expected a file, got none"),
        (lambda path: path.write_text(""), "no element found"),
    ],
    ids=["link-to-nothing", "folder", "pipe", "empty"],
)
def test_what_is_no_file_of_beans_is_named_and_leaves_the_others(tmp_path, make, said):
    (tmp_path / "mail.xml").write_text(UP)
    make(tmp_path / "other.xml")

    found = SenderFiles(tmp_path).read()

    assert list(found.tables) == ["server_up"]
    assert len(found.problems) == 1
    assert "other.xml" in str(found.problems[0])
    assert said in str(found.problems[0])


def test_without_the_folder_nothing_is_read_and_nothing_is_wrong(tmp_path):
    found = SenderFiles(tmp_path / "none").read()

    assert (dict(found.tables), found.problems) == ({}, ())

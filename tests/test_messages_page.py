"""docs/messages.md lists what the code says."""

from messages_page import PAGE, page


def test_every_message_stands_on_the_page():
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python tests/messages_page.py`"


def test_a_message_of_each_kind_of_writing_is_found():
    text = page()
    assert "no dvc.yaml and params.yaml in ‹here› or above it; change into the repository" in text
    assert "the GPU has too little memory" not in text  # that one is no error of ours
    assert text.count("\n- ") > 150

"""A line of an export is the same text in every version of Specstream."""

import json

from hypothesis import given
from hypothesis import strategies as st

from libs.common.log.export import json_line

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(TEXT, TEXT | st.integers() | st.dictionaries(TEXT, TEXT)))
def test_it_is_compact_json_with_every_letter_as_it_is(content: dict):
    written = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    assert json_line(content) == written + b"\n"

"""Whether an address may stand on somebody's card: only that of a document which they may see."""

import pytest

from tests.knowledge.library import close_base, note, put
from tool_server.access import Asker
from tool_server.knowledge.search import Knowledge
from tool_server.knowledge.sources import is_source

URL = "https://kb.corp.cn/leave"
LI, WANG = Asker("acc", "li", (7,)), Asker("acc", "wang", (8,))


def test_an_open_document_s_address_is_a_source_for_everybody(knowledge: Knowledge) -> None:
    put(knowledge, "hr", note("a", "年假", url=URL))
    assert is_source(knowledge.catalogue, WANG, URL)
    assert not is_source(knowledge.catalogue, WANG, URL + "/other")
    assert not is_source(knowledge.catalogue, WANG, "")


@pytest.mark.parametrize("by", ["document", "base"])
def test_a_closed_one_is_a_source_for_who_may_see_it(knowledge: Knowledge, by: str) -> None:
    access = ("department:acc/7",)
    put(knowledge, "hr", note("a", "年假", url=URL, access=access if by == "document" else ()))
    if by == "base":
        close_base(knowledge, "hr", *access)
    assert is_source(knowledge.catalogue, LI, URL)
    assert not is_source(knowledge.catalogue, WANG, URL)

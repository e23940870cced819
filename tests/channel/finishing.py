"""The workbench of tests of `finish`: accounts, files of Dify, a finisher over a ledger and a platform."""

import io
from dataclasses import dataclass

import sqlalchemy as sa
from PIL import Image

from playground.wechat.platform import Platform
from tests.channel.conftest import AES_KEY, make_account
from tool_server.channel.account import Account, parse_account
from tool_server.channel.download import Downloader
from tool_server.channel.finish import Finisher
from tool_server.channel.job import Job
from tool_server.channel.ledger import Ledger
from tool_server.channel.outbound import AMR
from tool_server.channel.page import Page
from tool_server.channel.schema import pages
from tool_server.channel.surface import Content, Incoming, Text
from tool_server.channel.wecom_api import WeComApi
from tool_server.channel.work import Work
from tool_server.database import Database
from tool_server.settings import Settings

VOICE = AMR + b"\x04" + b"\x00" * 12


def account_of(surface: str, dify_url: str = "http://127.0.0.1:9/v1", **fields: object) -> Account:
    if surface == "wecom_app":
        return make_account(dify_url=dify_url, **fields)
    values: dict[str, object] = {"surface": surface, "token": "thetoken", "dify_key": "app-test"}
    values |= {"encoding_aes_key": AES_KEY, "dify_url": dify_url}
    corp = {"corp_id": "wwcorp", "secret": "the-secret"} if surface == "wecom_kf" else {}
    return parse_account(values | corp | fields)


def picture(kind: str, size: tuple[int, int] = (40, 30)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(out, kind)
    return out.getvalue()


FILES = {
    "a.png": picture("PNG"),
    "b.webp": picture("WEBP"),
    "c.pdf": b"%PDF-1.7 something",
    "d.amr": VOICE,
    "e.mp3": b"ID3 something else",
    "f.gif": picture("GIF"),
    "empty": b"",
}


@dataclass
class Bench:
    """A finisher over a ledger and a platform; a message of a person as a job."""

    database: Database
    settings: Settings
    platform: Platform
    api: WeComApi
    downloader: Downloader
    numbers: int = 0

    def finisher(self, **settings: object) -> Finisher:
        changed = self.settings.model_copy(update=settings)
        return Finisher.open(changed, self.database, self.downloader, self.api)

    def job(self, question: str = "年假有几天？", user: str = "zhang", chat: str = "") -> Job:
        self.numbers += 1
        ledger = Ledger.open(self.database, self.settings)
        name = f"m{self.numbers}"
        ledger.claim("acc", Incoming(name, name, user, "text", question, 1, chat), wait_until=0)
        work = Work(self.database, "one", lease_s=30, ticket_ttl_s=600)
        job = work.lease()
        assert job is not None
        work.nothing(job, "only this job is looked at")
        return job

    def stored(self) -> list[Page]:
        rows = self.database.read(lambda db: db.execute(sa.select(pages)).all())
        names = Page.__dataclass_fields__
        return [Page(**{name: getattr(row, name) for name in names}) for row in rows]


def texts(contents: list[Content]) -> list[str]:
    return [content.text for content in contents if isinstance(content, Text)]

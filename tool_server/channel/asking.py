"""Everything between a leased message and its answer, put together once per worker; see `compose` for what it does."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, Self
from urllib.parse import urlsplit

from tool_server.channel.accounts import Accounts
from tool_server.channel.apps import Apps
from tool_server.channel.ask import Asker
from tool_server.channel.attachments import Attachments
from tool_server.channel.carry_out import Commands
from tool_server.channel.compose import Composer
from tool_server.channel.dify import Dify
from tool_server.channel.download import Downloader
from tool_server.channel.feedback import Feedbacks
from tool_server.channel.finish import Finisher
from tool_server.channel.inbound import MB, Inbox
from tool_server.channel.language import Speaker
from tool_server.channel.measures import Metrics
from tool_server.channel.meet import Events
from tool_server.channel.memory import Memory
from tool_server.channel.outbound import Uploads
from tool_server.channel.people import People
from tool_server.channel.policy import Policy
from tool_server.channel.surface import Api, MediaKind
from tool_server.channel.voice import Voice
from tool_server.channel.wecom_api import WeComApi
from tool_server.channel.work import Work
from tool_server.database import Database
from tool_server.settings import Settings


class Apart(Api, Uploads, Protocol):
    """A transport of a surface's own."""


@dataclass(frozen=True)
class Asking:
    """The composer, what sends feedback, and what is to be closed."""

    composer: Composer
    feedbacks: Feedbacks
    dify: Dify
    downloader: Downloader
    voice: Voice

    @classmethod
    def open(
        cls,
        settings: Settings,
        *,
        database: Database,
        accounts: Accounts,
        work: Work,
        platform: WeComApi,
        people: People,
        policy: Policy,
        metrics: Metrics,
        apart: Mapping[str, Apart] = MappingProxyType({}),
    ) -> Self:
        """`apart` holds what surfaces with a transport of their own send and upload with."""
        dify = Dify(ask_timeout_s=settings.channel_ask_timeout_s)
        downloader = Downloader(
            timeout_s=settings.channel_download_s, trusted=_trusted_hosts(settings)
        )
        voice = Voice.open(settings)
        apps = Apps(dify, keep_s=settings.channel_app_keep_s)
        memory = Memory(
            database, settings.channel_conversation_idle_s, settings.channel_conversation_turns
        )
        attachments = Attachments(
            database,
            Inbox(platform, downloader, _limits(settings)),
            voice,
            apps,
            dify,
            settings.channel_files_keep_s,
            metrics.media,
        )
        feedbacks = Feedbacks(
            database, accounts, dify, metrics.feedback, settings.channel_feedback_attempts
        )
        speaker = Speaker(database)
        composer = Composer(
            work=work,
            policy=policy,
            commands=Commands(work, memory, attachments, dify, apps, speaker),
            events=Events(
                database,
                apps,
                feedbacks,
                platform,
                speaker,
                settings.channel_welcome_every_s,
                apart,
            ),
            attachments=attachments,
            asker=Asker(work, dify, memory, people, settings.channel_outlive_s),
            finisher=Finisher.open(settings, database, downloader, platform, apart),
            speaker=speaker,
            failures=metrics.failures,
            attempts=settings.channel_attempts,
            quote_characters=settings.channel_quote_characters,
        )
        return cls(composer, feedbacks, dify, downloader, voice)

    def close(self) -> None:
        self.dify.close()
        self.downloader.close()
        self.voice.close()


def _trusted_hosts(settings: Settings) -> list[str]:
    """The platform's own host, which is a setting, and those that the operator names."""
    named = [host.strip() for host in settings.channel_download_hosts.split(",")]
    return [urlsplit(settings.channel_wecom_url).netloc, *named]


def _limits(settings: Settings) -> dict[MediaKind, int]:
    return {
        "image": settings.channel_image_mb * MB,
        "voice": settings.channel_voice_mb * MB,
        "video": settings.channel_video_mb * MB,
        "file": settings.channel_file_mb * MB,
    }

"""The channel's settings; read through `tool_server.settings.Settings`."""

from pydantic import BaseModel, Field


class ChannelSettings(BaseModel):
    """Limits of the platform (with their source) and how patient the channel is."""

    channel_wecom_url: str = Field(
        "https://qyapi.weixin.qq.com",
        description="Base URL of the WeCom API. A server setting, never an account's.",
    )
    channel_wecom_timeout_s: float = Field(
        8.0, gt=0, le=60, description="Seconds that one call to the WeCom API may take."
    )
    channel_callback_window_s: int = Field(
        300,
        ge=0,
        le=86400,
        description="Seconds that a callback's timestamp may differ from our clock; 0 switches the check off.",
    )
    channel_body_limit: int = Field(
        65536, ge=1024, le=1048576, description="Bytes that a callback's body may have."
    )
    channel_wait_s: float = Field(
        4.3,
        ge=0,
        le=4.7,
        description="Seconds that a callback waits for a passive reply; the platform cuts at 5.0. 0 pushes everything.",
    )
    channel_relay_wait_s: float = Field(
        3.5,
        ge=0,
        le=4.3,
        description="The same for a callback relayed by the Dify endpoint, whose own deadline is 4.7 s.",
    )
    channel_waiting_limit: int = Field(
        64,
        ge=0,
        le=1000,
        description="Callbacks that may wait at once; one more is acknowledged and pushed.",
    )
    channel_queue_limit: int = Field(
        1000,
        ge=1,
        description="Messages that may be unanswered at once; beyond it callbacks get a 503 and are delivered again.",
    )
    channel_worker_slots: int = Field(
        8, ge=1, le=128, description="Messages that one worker process answers at once."
    )
    channel_lease_s: float = Field(
        30.0,
        ge=2,
        le=600,
        description="Seconds after which another node may take over a silent worker's message.",
    )
    channel_ask_timeout_s: float = Field(
        300.0, ge=5, le=1200, description="Seconds that a Dify app may take for one answer."
    )
    channel_dify_hosts: str = Field(
        "",
        description="Comma-separated host[:port] that accounts may name as `dify_url`; empty allows any.",
    )
    channel_attempts: int = Field(
        5,
        ge=1,
        le=20,
        description="Tries to get or to deliver an answer before the message is given up.",
    )
    channel_sweep_after_s: float = Field(
        20.0,
        ge=5,
        le=600,
        description="Seconds after which a passive reply that no connection fetched is pushed.",
    )
    channel_ticket_ttl_s: int = Field(
        600, ge=10, le=86400, description="Seconds that a message's ticket opens private passages."
    )
    channel_conversation_idle_s: int = Field(
        86400,
        ge=60,
        description="Seconds of silence after which a user's next message starts a new conversation.",
    )

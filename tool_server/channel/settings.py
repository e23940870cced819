"""The channel's settings; read through `tool_server.settings.Settings`."""

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr


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
        description="Messages that may be unanswered at once; the person of one more is told that we are busy.",
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

    # Asking: memory, files, voice, welcome, feedback.
    channel_conversation_turns: int = Field(
        50,
        ge=0,
        le=10000,
        description="Questions after which a user's conversation begins anew; 0 is no bound.",
    )
    channel_quote_characters: int = Field(
        2000, ge=0, le=20000, description="Characters of a quoted message that go with a question."
    )
    channel_app_keep_s: int = Field(
        300,
        ge=0,
        le=86400,
        description="Seconds that an app's opening, questions and file switches are kept.",
    )
    channel_welcome_every_s: int = Field(
        86400,
        ge=0,
        description="Seconds after a welcome in which the same person gets no other one.",
    )
    channel_files_keep_s: int = Field(
        600,
        ge=10,
        le=86400,
        description="Seconds that a picture or a file waits for its person's question.",
    )
    channel_image_mb: int = Field(
        10, ge=1, le=100, description="Megabytes of a picture that comes in."
    )
    channel_voice_mb: int = Field(2, ge=1, le=25, description="Megabytes of a voice message.")
    channel_video_mb: int = Field(
        10, ge=1, le=100, description="Megabytes of a video that comes in."
    )
    channel_file_mb: int = Field(20, ge=1, le=100, description="Megabytes of a file that comes in.")
    channel_download_s: float = Field(
        30.0, ge=1, le=300, description="Seconds that fetching one file may take."
    )
    channel_download_hosts: str = Field(
        "",
        description="Comma-separated host[:port] whose files may come by plain http and from private addresses.",
    )
    channel_speech_url: str = Field(
        "",
        description="Address up to `/v1` of a server with OpenAI's transcriptions; empty: this one, if it has speech.",
    )
    channel_speech_key: SecretStr = Field(
        SecretStr(""), description="Key for `SHENQIAO_CHANNEL_SPEECH_URL`; never shown or logged."
    )
    channel_speech_model: str = Field(
        "", description="Model asked for transcriptions; empty: `SHENQIAO_MODEL_SPEECH_NAME`."
    )
    channel_speech_timeout_s: float = Field(
        60.0, ge=1, le=600, description="Seconds that a transcription may take."
    )
    channel_feedback_attempts: int = Field(
        40,
        ge=1,
        le=1000,
        description="Tries to bring a thumb to Dify; after the first ones one an hour.",
    )

    # Accounts, people and checks.
    channel_accounts_file: Path = Field(
        Path(),
        description="JSON file of accounts, followed while it changes ([accounts.md](accounts.md)); empty for none.",
    )
    channel_public_url: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="Where the platform reaches this server, such as https://bot.example.com; or the whole callback"
        " URL with `{account}` in it. The doctor sends its test callbacks there.",
    )
    channel_check_every_s: float = Field(
        3600.0, ge=0, description="Seconds between two examinations of all accounts; 0 for none."
    )
    channel_people_ttl_s: float = Field(
        600.0,
        ge=0,
        description="Seconds that a person's departments count; a change that the platform tells ends it.",
    )
    channel_people_missing_ttl_s: float = Field(
        60.0, ge=0, description="Seconds that a person whom the app does not see counts as such."
    )
    channel_people_stale_s: float = Field(
        3600.0,
        ge=0,
        description="Seconds that old departments count while the platform cannot be asked; then people have none.",
    )

    # Answers: how much, which links and files, pages and the sign-in to them.
    channel_pieces: int = Field(
        5,
        ge=1,
        le=50,
        description="Messages that one answer may have at most; a longer one is a page, or is cut.",
    )
    channel_answer_characters: int = Field(
        60000,
        ge=1000,
        le=1000000,
        description="Characters of an app's answer that are looked at; the rest is left out, and that is said.",
    )
    channel_page_ttl_s: int = Field(
        604800, ge=60, le=31536000, description="Seconds that the page of a long answer is kept."
    )
    channel_link_hosts: str = Field(
        "",
        max_length=4000,
        description=(
            "Comma-separated hosts that links in answers may lead to, besides the answer's sources and our own pages; "
            "`*.example.com` is all below it, `*` all hosts."
        ),
    )
    channel_media_hosts: str = Field(
        "",
        max_length=4000,
        description="Comma-separated host[:port] that an answer's files may be fetched from, besides its Dify.",
    )
    channel_wecom_authorize_url: str = Field(
        "https://open.weixin.qq.com/connect/oauth2/authorize",
        description="Where people of a self-built app sign in before a page that is theirs alone. A server setting.",
    )
    channel_login_ttl_s: int = Field(
        1800, ge=60, le=86400, description="Seconds that such a sign-in lasts."
    )

    # Long connections of AI bots.
    channel_wecom_bot_url: str = Field(
        "wss://openws.work.weixin.qq.com",
        description="Address of the platform's long connections for AI bots. A server setting, never an account's.",
    )
    channel_bot_ack_s: float = Field(
        5.0, gt=0, le=30, description="Seconds that the platform may take to acknowledge a frame."
    )
    channel_bot_ping_s: float = Field(
        30.0,
        gt=0,
        le=60,
        description="Seconds between two pings of a long connection; two without an answer end it.",
    )
    channel_bot_refresh_s: float = Field(
        0.4,
        ge=0.1,
        le=30,
        description="Seconds between two frames of a growing answer. Where the platform counts them into its"
        " 30 messages a minute, 3 leaves room.",
    )
    channel_bot_connections: int = Field(
        50, ge=1, le=1000, description="Long connections that one worker process holds."
    )
    channel_bot_inbox: int = Field(
        1000,
        ge=1,
        description="Messages per long connection that wait for the ledger; one more is refused and counted.",
    )
    channel_bot_kicked_pause_s: int = Field(
        0,
        ge=0,
        description="Seconds after which a bot whose connection somebody else has taken is connected again; 0: only"
        " when its account is saved or `shenqiao account connect` says so.",
    )

    # Streams that the platform comes for (AI bot by webhook).
    channel_stream_s: float = Field(
        330.0,
        ge=1,
        le=355,
        description="Seconds after its message that a stream may grow; the platform asks for 360. What comes later is"
        " sent as a message of its own.",
    )
    channel_stream_silence_s: float = Field(
        30.0,
        ge=2,
        le=330,
        description="Seconds without a refresh after which the platform is no longer believed to come for a stream.",
    )
    channel_stream_first_s: float = Field(
        0.3,
        ge=0,
        le=3,
        description="Seconds that the first reply waits for a quick text, such as a command's answer.",
    )

    # The ledger's.
    channel_workers: int = Field(
        1, ge=1, le=32, description="Worker processes that `shenqiao serve` runs on this machine."
    )
    channel_user_queue_limit: int = Field(
        20,
        ge=1,
        description="Unanswered messages of one person in one chat; one more is answered with a sentence that says so.",
    )
    channel_busy_limit: int = Field(
        200,
        ge=0,
        description="People beyond the queue limit who may wait to be told; then callbacks get a 503 and come again.",
    )
    channel_busy_pause_s: float = Field(
        60.0,
        ge=0,
        description="Seconds in which a person is told only once that we are busy; the others are noted.",
    )
    channel_keep_days: int = Field(
        180,
        ge=1,
        le=3650,
        description="Days that messages, answers and events are kept; the law in China asks for six months of logs.",
    )
    channel_erase_batch: int = Field(
        200, ge=1, le=10000, description="Old messages that are deleted in one short transaction."
    )
    channel_kf_page: int = Field(
        100,
        ge=1,
        le=1000,
        description="Messages of customer service that one call fetches and one transaction takes.",
    )
    channel_kf_pages: int = Field(
        20,
        ge=1,
        le=1000,
        description="Pages of one service account that are read before another account has its turn.",
    )
    channel_kf_look_s: float = Field(
        300.0,
        ge=5,
        le=86400,
        description="Seconds after which a service account is read although no callback came; such calls are limited.",
    )
    channel_kf_fresh_s: int = Field(
        600,
        ge=0,
        le=259200,
        description="Messages this many seconds older than the first reading of a service account are not answered.",
    )
    channel_kf_pool_is_human: bool = Field(
        True,
        description="Stay silent while a customer waits in the pool; off, only while a human serves.",
    )

    # After a crash.
    channel_outlive_s: float = Field(
        60.0,
        ge=0,
        le=1200,
        description="Seconds that a run whose worker died is waited for in Dify before the app is asked anew.",
    )
    # Beside the answer.
    channel_replies: int = Field(
        3,
        ge=0,
        le=20,
        description="Cards and files that tools may send with one answer, as far as the surface allows.",
    )
    channel_reply_bytes: int = Field(
        20 * 1024 * 1024, ge=1024, description="Bytes of a file that a tool may send."
    )
    # The status page.
    channel_status_code_s: int = Field(
        3600,
        ge=60,
        le=86400,
        description="Seconds that a code of `shenqiao account code` opens status pages.",
    )
    channel_status_keep_s: float = Field(
        15.0,
        ge=0,
        le=3600,
        description="Seconds in which a status page is not made anew: making it asks the platform and Dify.",
    )
    # AI bots' pictures; messages that workers die of.
    channel_bot_pictures_kb: int = Field(
        768,
        ge=16,
        le=102400,
        description="Kilobytes of all pictures that a finished stream of a bot by webhook carries; larger ones are made"
        " smaller. Behind Dify's endpoint an answer has room for about 1100.",
    )
    channel_takeovers: int = Field(
        5,
        ge=2,
        le=100,
        description="Workers in a row that may die while they hold a message; then it is a dead letter, and its person"
        " is told.",
    )

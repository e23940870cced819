"""Voice messages to text, by a model behind OpenAI's transcriptions, the own server's as a rule; for `attachments`."""

from collections.abc import Callable
from functools import partial

import httpx

from tool_server.auth import Keys
from tool_server.channel.inbound import Fetched, MediaError
from tool_server.settings import Settings

CONNECT_S = 5.0
# The speech model is loading, or has too much to do.
LATER = (408, 429, 500, 502, 503, 504)
# A recording that is none, or too large; whatever else is wrong is not its person's fault.
SENTENCES = {
    400: "voice_unclear",
    413: "media_large",
    401: "no_voice",
    403: "no_voice",
    404: "no_voice",
}


class Voice:
    """Writes recordings down; where no speech model is set up, says so."""

    def __init__(self, url: str, key: Callable[[], str], model: str, *, timeout_s: float) -> None:
        """`key` is asked before each call: that of our own server may be exchanged at any time."""
        self._url = url
        self._key = key
        self._model = model
        timeout = httpx.Timeout(timeout_s, connect=CONNECT_S)
        self._http = httpx.Client(timeout=timeout, trust_env=False)

    @classmethod
    def open(cls, settings: Settings) -> "Voice":
        """As the settings say: an address of its own, else this server where it serves a speech model."""
        url, key = settings.channel_speech_url, settings.channel_speech_key.get_secret_value
        if not url and settings.model_enabled and settings.model_speech_path.name:
            url = f"http://{_host(settings.host)}:{settings.port}/v1"
            key = partial(_own_key, settings)
        model = settings.channel_speech_model or settings.model_speech_name
        return cls(url.rstrip("/"), key, model, timeout_s=settings.channel_speech_timeout_s)

    def check(self) -> None:
        """Raises `MediaError` where nobody listens, so that nothing need be fetched."""
        if not self._url:
            raise MediaError("no_voice", "no speech model")

    def text_of(self, recording: Fetched) -> str:
        """What was said. Raises `MediaError`."""
        self.check()
        try:
            response = self._http.post(
                f"{self._url}/audio/transcriptions",
                headers={"Authorization": f"Bearer {self._key()}"},
                data={"model": self._model, "response_format": "json"},
                files={"file": (recording.name, recording.data, recording.type.mime)},
            )
            text = response.json().get("text") if response.status_code == 200 else None
        except (httpx.HTTPError, ValueError, AttributeError):
            raise MediaError("voice_later", "the speech model is away", retry=True) from None
        if response.status_code != 200:
            sentence = SENTENCES.get(response.status_code, "voice_later")
            retry = response.status_code in LATER
            raise MediaError(sentence, f"answered {response.status_code}", retry=retry)
        if not isinstance(text, str) or not text.strip():
            raise MediaError("voice_unclear", "nothing was heard")
        return text.strip()

    def close(self) -> None:
        self._http.close()


def _own_key(settings: Settings) -> str:
    return Keys.load(settings).secret("model")


def _host(host: str) -> str:
    """Where a server that listens everywhere can be reached from here."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104  (a comparison)

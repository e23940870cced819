"""Files of a message as graphon sees them; a run reads only those that its person named. Used by `workflow`."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from graphon.file.enums import FileTransferMethod, FileType
from graphon.file.models import File

from playground.dify.uploads import Upload


class GraphFiles:
    """The part of graphon's `WorkflowFileRuntimeProtocol` that uploads need; models get them as base64."""

    multimodal_send_format = "base64"

    def __init__(self, uploads: Sequence[Upload]) -> None:
        self._uploads = {upload.id: upload for upload in uploads}

    @property
    def files(self) -> list[File]:
        return [_file(upload) for upload in self._uploads.values()]

    def load_file_bytes(self, *, file: File) -> bytes:
        return self._uploads[str(file.related_id)].data

    def resolve_file_url(self, *, file: File, for_external: bool = True) -> str:
        del for_external
        return f"/files/{file.related_id}/file-preview"


def _file(upload: Upload) -> File:
    return File(
        file_type=FileType(upload.kind),
        transfer_method=FileTransferMethod.LOCAL_FILE,
        reference=upload.id,
        filename=upload.name,
        extension=PurePosixPath(upload.name).suffix.lower(),
        mime_type=upload.mime,
        size=len(upload.data),
    )

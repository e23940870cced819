"""What one file may cost; from the settings, carried to the child with each file."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the child reads no settings, and starts faster without them
    from tool_server.settings import Settings


@dataclass(frozen=True)
class Limits:
    """Each bound is the setting `knowledge_…` of the same name."""

    file_bytes: int
    pages: int
    characters: int
    archive_entries: int
    archive_bytes: int
    archive_ratio: int
    table_rows: int
    table_columns: int
    table_sheets: int
    mail_depth: int
    mail_attachments: int
    parse_s: int

    @classmethod
    def of(cls, settings: "Settings") -> "Limits":
        return cls(
            file_bytes=settings.knowledge_file_limit,
            pages=settings.knowledge_document_pages,
            characters=settings.knowledge_document_characters,
            archive_entries=settings.knowledge_archive_entries,
            archive_bytes=settings.knowledge_archive_bytes,
            archive_ratio=settings.knowledge_archive_ratio,
            table_rows=settings.knowledge_table_rows,
            table_columns=settings.knowledge_table_columns,
            table_sheets=settings.knowledge_table_sheets,
            mail_depth=settings.knowledge_mail_depth,
            mail_attachments=settings.knowledge_mail_attachments,
            parse_s=settings.knowledge_parse_s,
        )

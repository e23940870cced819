"""Knowledge's settings; read through `tool_server.settings.Settings`."""

from pydantic import BaseModel, Field


class KnowledgeSettings(BaseModel):
    """Limits of ingestion and search, and the two measured weights."""

    knowledge_title_weight: float = Field(
        0.2,
        ge=0,
        le=10,
        description="Weight of a title beside its passage; more ruins the ranking where many share one title.",
    )
    knowledge_found_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Share of a question's weight that the best passage must hold to count as found.",
    )
    knowledge_top_k_limit: int = Field(
        50, ge=1, le=1000, description="Most passages that one search may ask for."
    )
    knowledge_query_tokens: int = Field(
        512, ge=8, le=8192, description="Distinct tokens of a question that are searched for."
    )
    knowledge_query_characters: int = Field(
        8000, ge=100, le=100000, description="Characters that a question may have."
    )
    knowledge_passage_characters: int = Field(
        600, ge=100, le=20000, description="Characters after which a section is cut into passages."
    )
    knowledge_file_limit: int = Field(
        20 * 1024 * 1024, ge=1024, description="Bytes that one file may have."
    )
    knowledge_batch_documents: int = Field(
        200, ge=1, le=10000, description="Documents that one commit of an ingest holds."
    )
    knowledge_upload_limit: int = Field(
        200 * 1024 * 1024, ge=1024, description="Bytes that one request may upload."
    )
    knowledge_upload_files: int = Field(
        100, ge=1, le=10000, description="Files that one request may upload."
    )
    knowledge_upload_keep: bool = Field(
        False,
        description="Keep what was uploaded after it was read, below `uploads` in the data folder.",
    )
    knowledge_queue_jobs: int = Field(
        100,
        ge=1,
        le=100000,
        description="Jobs of ingestion that may wait; one more is answered 429.",
    )
    knowledge_job_history: int = Field(
        200,
        ge=1,
        le=100000,
        description="Jobs that have ended and are remembered, with their files.",
    )
    knowledge_job_attempts: int = Field(
        5,
        ge=1,
        le=100,
        description="Times that a job may be cut off at the same place before it fails.",
    )
    knowledge_job_events_s: float = Field(
        300, ge=1, le=3600, description="Seconds that one stream of a job's progress may last."
    )
    knowledge_vanished_share: float = Field(
        0.3,
        ge=0,
        le=1,
        description="Share of a folder's files that may vanish between two ingests, when it has more than ten.",
    )
    knowledge_url_hosts: str = Field(
        "",
        max_length=10000,
        description="Hosts whose pages may be ingested, comma-separated: names, `*.example.org`, or `*` for all"
        " public ones. A host that is named in full may have a private address. Empty: no page is fetched.",
    )
    knowledge_urls_limit: int = Field(
        1000, ge=1, le=100000, description="Pages that one job may fetch."
    )
    knowledge_url_timeout_s: float = Field(
        60, gt=0, le=3600, description="Seconds that fetching one page may take."
    )

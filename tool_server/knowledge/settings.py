"""Knowledge's settings; read through `tool_server.settings.Settings`."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr


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
        50 * 1024 * 1024, ge=1024, description="Bytes that one file may have."
    )
    knowledge_batch_documents: int = Field(
        200, ge=1, le=10000, description="Documents that one commit of an ingest holds."
    )
    knowledge_parse_s: int = Field(
        60, ge=1, le=3600, description="Seconds that reading one file may take."
    )
    knowledge_parse_memory_mb: int = Field(
        1024, ge=384, le=65536, description="Memory of the process that reads files, in MB."
    )
    knowledge_parse_files: int = Field(
        200, ge=1, le=100000, description="Files after which that process is replaced."
    )
    knowledge_document_pages: int = Field(
        2000, ge=1, le=100000, description="Pages or slides that a document may have."
    )
    knowledge_document_characters: int = Field(
        20_000_000,
        ge=1000,
        le=200_000_000,
        description="Characters of text that one file may hold.",
    )
    knowledge_archive_entries: int = Field(
        10_000, ge=10, description="Parts that an Office file, which is a ZIP archive, may have."
    )
    knowledge_archive_bytes: int = Field(
        500 * 1024 * 1024, ge=1024, description="Bytes that its parts may have when unpacked."
    )
    knowledge_archive_ratio: int = Field(
        200, ge=10, description="How many times larger it may be when unpacked."
    )
    knowledge_table_rows: int = Field(
        100_000, ge=1, description="Rows with content that the tables of one file may have."
    )
    knowledge_table_columns: int = Field(
        500, ge=1, le=16384, description="Columns that a table may have."
    )
    knowledge_table_sheets: int = Field(100, ge=1, description="Sheets that a workbook may have.")
    knowledge_mail_depth: int = Field(
        2, ge=0, le=20, description="How deep mails may be attached to mails."
    )
    knowledge_mail_attachments: int = Field(
        50, ge=0, le=1000, description="Attachments that are read of one mail."
    )
    knowledge_parent_characters: int = Field(
        1500,
        ge=0,
        le=100_000,
        description="Characters to which a found passage may grow, with what stands around it in its section; 0: off.",
    )
    knowledge_filter_conditions: int = Field(
        50, ge=1, le=500, description="Conditions on metadata that one search may have."
    )
    knowledge_pins: int = Field(
        5000, ge=0, le=100_000, description="Pinned answers that one base may have."
    )
    knowledge_pin_share: float = Field(
        0.75,
        ge=0,
        le=1,
        description="Share that a question and a pinned one must have in common, to get its answer.",
    )
    knowledge_misses: int = Field(
        1000,
        ge=0,
        le=1_000_000,
        description="Questions without an answer that are kept, the newest; 0 keeps none.",
    )
    knowledge_text_characters: int = Field(
        20000,
        ge=1000,
        le=1000000,
        description="Characters of a document's text that one request, or one page of it, gets at most.",
    )
    knowledge_public_url: str = Field(
        "",
        max_length=500,
        pattern=r"^(https?://\S+)?$",
        description=(
            "Address under which phones reach this server; public documents without one of their own then have a page "
            "there for whoever reaches it, to which citations link. Empty: no pages."
        ),
    )
    knowledge_backend: Literal["embedded", "elasticsearch"] = Field(
        "embedded",
        description="Where passages are indexed: in the data folder, or in Elasticsearch 8 or 9.",
    )
    knowledge_elasticsearch_urls: str = Field(
        "",
        description="Elasticsearch's nodes, as `https://host:9200`, with commas between ([how](elasticsearch.md)).",
    )
    knowledge_elasticsearch_api_key: SecretStr = Field(
        SecretStr(""), description="Key for Elasticsearch, in the encoded form."
    )
    knowledge_elasticsearch_user: str = Field(
        "", max_length=200, description="User for Elasticsearch, instead of a key."
    )
    knowledge_elasticsearch_password: SecretStr = Field(
        SecretStr(""), description="That user's password."
    )
    knowledge_elasticsearch_ca_file: Path = Field(
        Path(),
        description="PEM file of the authority that signed Elasticsearch's certificate; empty: those of the system.",
    )
    knowledge_elasticsearch_fingerprint: str = Field(
        "",
        pattern=r"^(?:[0-9A-Fa-f]{2}(?::?[0-9A-Fa-f]{2}){31})?$",
        description="SHA-256 fingerprint of a certificate that Elasticsearch sends, instead of an authority.",
    )
    knowledge_elasticsearch_prefix: str = Field(
        "shenqiao",
        pattern=r"^[a-z][a-z0-9_-]{0,63}$",
        description="What the names of our indexes and aliases begin with; each installation needs its own.",
    )
    knowledge_elasticsearch_timeout_s: float = Field(
        5.0, ge=0.1, le=120, description="Seconds that a search waits for Elasticsearch."
    )
    knowledge_elasticsearch_bulk_timeout_s: float = Field(
        60.0, ge=1, le=600, description="Seconds that one bulk of passages may take."
    )
    knowledge_elasticsearch_bulk_bytes: int = Field(
        10 * 1024 * 1024, ge=100_000, le=50_000_000, description="Bytes of one bulk of passages."
    )
    knowledge_elasticsearch_total_fields: int = Field(
        5000,
        ge=100,
        le=100_000,
        description="Fields that the mapping may have; ours has about 20 and does not grow with metadata.",
    )
    knowledge_elasticsearch_metadata_keys: int = Field(
        200,
        ge=1,
        le=5000,
        description="Metadata keys of a document that conditions see in Elasticsearch; the log names one with more.",
    )
    knowledge_foreign_api_key: SecretStr = Field(
        SecretStr(""),
        description="Key for indexes of others that bases name; empty: the same access as for ours.",
    )
    knowledge_embedding_url: str = Field(
        "",
        pattern=r"^(https?://.+)?$",
        description="Address of an OpenAI-compatible API, up to `/v1`, for embeddings; empty: searches are lexical.",
    )
    knowledge_embedding_key: SecretStr = Field(
        SecretStr(""), description="Key that is sent with texts to embed; never shown or logged."
    )
    knowledge_embedding_model: str = Field(
        "private-embedding",
        min_length=1,
        max_length=200,
        description="Name of the model to ask for.",
    )
    knowledge_embedding_dimensions: int = Field(
        0, ge=0, le=8192, description="Length of a vector to ask for; 0: the model's own."
    )
    knowledge_embedding_batch: int = Field(
        32, ge=1, le=2048, description="Passages that one request for embeddings carries."
    )
    knowledge_embedding_characters: int = Field(
        4000, ge=50, le=100000, description="Characters of a passage that are embedded."
    )
    knowledge_embedding_query_instruction: str = Field(
        "",
        max_length=1000,
        description="What a question begins with before it is embedded, where the model wants an instruction.",
    )
    knowledge_embedding_timeout_s: float = Field(
        60.0, gt=0, le=600, description="Seconds that one batch of passages may take."
    )
    knowledge_embedding_question_timeout_s: float = Field(
        2.0, gt=0, le=60, description="Seconds after which a search goes on without its vector."
    )
    knowledge_embedding_sample: int = Field(
        100, ge=10, le=2000, description="Passages that the embedding model is tested with."
    )
    knowledge_fusion_window: int = Field(
        50, ge=10, le=1000, description="Passages of each leg that a hybrid search looks at."
    )
    knowledge_fusion_weight: float = Field(
        1.0, ge=0, le=10, description="Weight of the vectors' ranking beside the lexical one."
    )
    knowledge_rerank_url: str = Field(
        "",
        pattern=r"^(https?://.+)?$",
        description="Address of an API with `/rerank`, up to `/v1`; empty: none.",
    )
    knowledge_rerank_key: SecretStr = Field(
        SecretStr(""),
        description="Key that is sent with passages to rerank; never shown or logged.",
    )
    knowledge_rerank_model: str = Field(
        "private-rerank", min_length=1, max_length=200, description="Name of the model to ask for."
    )
    knowledge_rerank_top_n: int = Field(
        30, ge=2, le=200, description="Passages that the rerank model reads for one question."
    )
    knowledge_rerank_timeout_s: float = Field(
        2.0, gt=0, le=60, description="Seconds after which the order stays as it was."
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

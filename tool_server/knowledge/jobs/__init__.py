"""Ingestion as work that is written down: jobs in the catalogue, and the process that does them one after the other.

`queue` holds the jobs, `scan` and `plan` find out what is to be done, `run` does it, `indexer` is the process,
`routes` the HTTP door, `uploads` and `pages` bring files from elsewhere.
"""

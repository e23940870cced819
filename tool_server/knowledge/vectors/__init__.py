"""The vector leg: passages by their meaning, beside the lexical index and derived from the catalogue like it.

`embedding` asks the model, `folder` holds the vectors, `selftest` judges, `leg` is what a search has of them.
"""

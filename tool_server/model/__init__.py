"""The model server: the OpenAI wire in the web process, and the engine process that owns the model.

Imports nothing of `channel` and `knowledge`. Torch is imported in the engine process alone.
"""

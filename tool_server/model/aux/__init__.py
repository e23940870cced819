"""The auxiliary models: embedding, rerank, speech, guard. Their routes in the web process, and their own process.

Torch is imported in `loaders` and what it imports, by the aux process alone; everything else is free of it.
"""

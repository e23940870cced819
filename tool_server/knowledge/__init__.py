"""Private knowledge: documents in a catalogue, an embedded index, and the search that Dify's tool node calls.

Imports nothing of `channel` and `model`; `app.py` hands over how a ticket is resolved.
"""

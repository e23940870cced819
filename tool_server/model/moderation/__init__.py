"""Private moderation: an operator's word list, a guard model behind a protocol, and the cleaning of what comes in.

No text leaves this machine for it. The chat path uses `Moderation`; the rest is its parts.
"""

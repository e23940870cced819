"""Pictures for the app's tools: marks over a picture, and an answer as pages; drawn in a process of its own.

They are drawn here and not in Dify's plugin daemon: its container has no font with Chinese characters.
"""

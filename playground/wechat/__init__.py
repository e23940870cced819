"""WeChat's stand-in: a WeCom platform with its own crypto, real HTTP and real limits, and a phone to write from.

Imports nothing of `tool_server`: what the product believes about the platform is tested against other code.
"""

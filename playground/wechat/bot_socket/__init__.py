"""The platform's AI bot (智能机器人) by long connection: `server` (the wire) → `bot` (who is connected, callbacks)
→ `commands` (what each command does; `quota`, `uploads`).

Document 101463 of developer.work.weixin.qq.com. What it leaves open is a setting, or a number in `codes`.
"""

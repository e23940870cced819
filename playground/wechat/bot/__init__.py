"""The platform's AI bot (智能机器人) by webhook: encrypted JSON callbacks, streams that it polls, one active reply.

Documents 100719, 101027, 101031-101033 and 101138 of developer.work.weixin.qq.com.
"""

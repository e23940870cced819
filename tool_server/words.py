"""Every sentence that a person in WeChat can see, in Chinese and English, in one place."""

import re
from typing import Literal

Language = Literal["zh", "en"]

HAN = re.compile("[\u3400-\u9fff\U00020000-\U0003ffff]")
LATIN = re.compile("[A-Za-z]")
# Kana, Hangul, Thai, Arabic, Hebrew, Cyrillic.
OTHERS = re.compile(
    "[\u3041-\u30fa\u30fd-\u30ff\u1100-\u11ff\uac00-\ud7a3\u0e00-\u0e7f\u0590-\u06ff\u0400-\u04ff]"
)

WORDS: dict[str, dict[Language, str]] = {
    "failed": {
        "zh": "抱歉，这个问题我暂时没能回答，请稍后再试。",
        "en": "Sorry, I could not answer this just now. Please try again a little later.",
    },
    "unreachable": {
        "zh": "抱歉，助手服务暂时连接不上，请稍后再试。",
        "en": "Sorry, the assistant cannot be reached right now. Please try again a little later.",
    },
    "misconfigured": {
        "zh": "抱歉，助手还没有配置好，请联系管理员。",
        "en": "Sorry, the assistant is not set up correctly yet. Please tell your administrator.",
    },
    "empty": {
        "zh": "抱歉，这次没有得到回答，请换个说法再问一次。",
        "en": "Sorry, no answer came back. Please put the question another way.",
    },
    "not_allowed": {
        "zh": "抱歉，您还没有使用这个助手的权限，请联系管理员。",
        "en": "Sorry, you may not use this assistant yet. Please ask your administrator.",
    },
    "quota": {
        "zh": "您今天的提问次数已用完，请明天再来。",
        "en": "You have used up today's questions. Please come back tomorrow.",
    },
    "groups_off": {
        "zh": "我不在群聊中回答问题，请单独给我发消息。",
        "en": "I do not answer in groups. Please write to me directly.",
    },
    "sources": {"zh": "来源：", "en": "Source: "},
    "list": {"zh": "；", "en": "; "},
    "ai_label": {"zh": "（内容由 AI 生成）", "en": "(AI-generated)"},
    "busy": {
        "zh": "现在提问的人很多，您排在第{place}位，这条消息没有处理。请稍后再发一次。",
        "en": "Many questions are waiting; yours would be number {place} and was not taken. Please send it later.",
    },
    "too_slow": {
        "zh": "抱歉，这个问题处理得太久，已经停下。请把问题拆小一些再试。",
        "en": "Sorry, this took too long and was ended. Please try a smaller question.",
    },
    "crowded": {
        "zh": "抱歉，现在请求太多，请过几分钟再试。",
        "en": "Sorry, there are too many requests right now. Please try again in a few minutes.",
    },
    "stopped": {"zh": "（已停止）", "en": "(Stopped)"},
    "stopping": {
        "zh": "好的，已停止 {number} 条正在处理的消息。",
        "en": "All right, stopped; messages concerned: {number}.",
    },
    "nothing_to_stop": {
        "zh": "现在没有正在进行的回答。",
        "en": "There is no answer on its way.",
    },
    "new_conversation": {
        "zh": "好的，已开始新对话，之前的内容不再作为上下文。",
        "en": "All right, this is a new conversation; what was said before is left behind.",
    },
    "help": {
        "zh": "直接发问题给我就可以，也可以用这些命令：\n"
        "/新对话 – 忘掉前面的内容，重新开始\n"
        "/停止 – 停下正在进行的回答\n"
        "/帮助 – 显示这段说明",
        "en": "Just write your question. There are these commands, too:\n"
        "/new – forget what was said and begin anew\n"
        "/stop – end the answer on its way\n"
        "/help – show this text",
    },
    "starters": {"zh": "您可以这样问：", "en": "You could ask:"},
    "welcome": {
        "zh": "您好，我是您的助手，请直接发问题给我。发送 /帮助 查看用法。",
        "en": "Hello, I am your assistant. Just write your question; /help shows what else there is.",
    },
    "quoted": {"zh": "我引用的内容：", "en": "What I quote:"},
    "files_kept": {
        "zh": "收到，共 {number} 个文件。请接着写下您的问题，我会结合它们回答。",
        "en": "Received; files waiting for your question: {number}. Please write what you want to know.",
    },
    "no_image": {
        "zh": "这个助手看不了图片，请把问题用文字发给我。",
        "en": "This assistant cannot look at pictures. Please write your question.",
    },
    "no_file": {
        "zh": "这个助手读不了这种文件，请把问题用文字发给我。",
        "en": "This assistant cannot read such files. Please write your question.",
    },
    "no_video": {
        "zh": "这个助手看不了视频，请把问题用文字发给我。",
        "en": "This assistant cannot watch videos. Please write your question.",
    },
    "no_voice": {
        "zh": "这个助手听不了语音，请把问题用文字发给我。",
        "en": "This assistant cannot listen to voice messages. Please write your question.",
    },
    "voice_unclear": {
        "zh": "抱歉，我没听清这段语音，请再说一次，或用文字发给我。",
        "en": "Sorry, I did not catch that. Please say it again, or write it.",
    },
    "voice_later": {
        "zh": "抱歉，语音暂时听不了，请用文字发给我，或稍后再试。",
        "en": "Sorry, I cannot listen just now. Please write it, or try again a little later.",
    },
    "media_large": {
        "zh": "这个文件太大了，请发一个小一些的。",
        "en": "This file is too large. Please send a smaller one.",
    },
    "media_unknown": {
        "zh": "这种文件我打不开。可以发图片（JPG、PNG）、PDF、Word、Excel、PPT 或文本文件。",
        "en": "I cannot open this kind of file. Pictures (JPG, PNG), PDF, Word, Excel, PowerPoint and text work.",
    },
    "media_gone": {
        "zh": "抱歉，这个文件没能取到，请再发一次。",
        "en": "Sorry, I could not get this file. Please send it again.",
    },
    "no_location": {
        "zh": "我还用不了位置信息，请把地点写在问题里发给我。",
        "en": "I cannot use a location yet. Please write the place in your question.",
    },
    "no_forwards": {
        "zh": "我还读不了转发的聊天记录，请把要问的内容复制成文字发给我。",
        "en": "I cannot read forwarded chats yet. Please copy what matters into a text.",
    },
    "no_program": {
        "zh": "我打不开小程序，请把问题用文字发给我。",
        "en": "I cannot open mini programs. Please write your question.",
    },
    "no_card": {
        "zh": "我用不了名片，请把问题用文字发给我。",
        "en": "I cannot use a contact card. Please write your question.",
    },
    "unknown_kind": {
        "zh": "这种消息我还读不了，请把问题用文字发给我。",
        "en": "I cannot read this kind of message yet. Please write your question.",
    },
    "link_left_out": {"zh": "（链接已省略）", "en": "(link left out)"},
    "picture": {"zh": "［图片：{}］", "en": "(picture: {})"},
    "whole_answer": {"zh": "查看完整回答", "en": "Read the whole answer"},
    "cut_short": {
        "zh": "（回答较长，这里只显示了前面的部分；可以请我分段继续。）",
        "en": "(This answer is longer than fits here; you see its beginning. Ask me to go on in parts.)",
    },
    "files_lost": {
        "zh": "（有文件未能发送：{}）",
        "en": "(These could not be sent: {})",
    },
    "a_file": {"zh": "文件", "en": "a file"},
    "a_picture": {"zh": "图片", "en": "a picture"},
    "a_voice": {"zh": "语音", "en": "a voice message"},
    "a_video": {"zh": "视频", "en": "a video"},
    "was_it_good": {"zh": "这个回答有帮助吗？", "en": "Was this answer helpful?"},
    "thumb_up": {"zh": "👍 有帮助", "en": "👍 Yes"},
    "thumb_down": {"zh": "👎 没帮助", "en": "👎 No"},
    "thumb_taken": {"zh": "已收到，谢谢", "en": "Thank you"},
    "page_title": {"zh": "完整回答", "en": "The whole answer"},
    "page_until": {"zh": "本页保留到 {}", "en": "This page is kept until {}"},
    "page_gone": {
        "zh": "这个页面不存在或已过期，请在聊天里再问一次。",
        "en": "There is no such page, or it has expired. Please ask again in the chat.",
    },
    "page_other": {
        "zh": "这个回答只给提问的人看。",
        "en": "This answer is only for the person who asked.",
    },
    "login_failed": {
        "zh": "登录没有成功，请从聊天里的链接重新打开。",
        "en": "Signing in did not work. Please open the link in the chat again.",
    },
    "login_away": {
        "zh": "企业微信暂时无法确认您的身份，请稍后再试。",
        "en": "WeCom cannot tell who you are right now. Please try again a little later.",
    },
    "thinking": {"zh": "⏳ 正在思考…", "en": "⏳ Thinking…"},
    "continues": {
        "zh": "（回答还没有写完，完整的回答随后单独发给你。）",
        "en": "(This takes a little longer; the whole answer follows in a message of its own.)",
    },
    "undelivered": {
        "zh": "抱歉，这个问题的回答没能发送给您，请换个说法再问一次，或联系管理员。",
        "en": "Sorry, the answer could not be delivered. Please ask in another way, or tell your administrator.",
    },
    "handed_over": {
        "zh": "好的，正在为您转接人工客服，请稍候。",
        "en": "One moment, please: you are being handed over to a colleague.",
    },
}


def say(name: str, language: Language) -> str:
    """The sentence `name` in `language`."""
    return WORDS[name][language]


def language_of(text: str, default: Language = "zh") -> Language:
    """The language of a text, or `default` where it tells none."""
    return language_in(text) or default


def language_in(text: str) -> Language | None:
    """Chinese (of either script) where a text holds Han characters, English where it holds letters of it only.

    None for text without letters, and for languages that we do not speak: Japanese has Han characters beside its kana.
    """
    if OTHERS.search(text):
        return None
    if HAN.search(text):
        return "zh"
    return "en" if LATIN.search(text) else None

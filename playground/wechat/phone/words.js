"use strict";
// Everything that the page says about a message's life. `who` acted, `zh` and `en` say what happened,
// `more` (if any) is the small line beneath; an event that is missing here is shown by its name.
const SECONDS = {zh: (s) => s + " 秒后", en: (s) => "in " + s + " s"};
const BYTES = {zh: (n) => n + " 字节", en: (n) => n + " bytes"};
// Reasons as the ledger writes them.
const REASONS = {
  "the connection's time was up": "连接等待的时间到了",
  "no connection fetched the reply": "没有连接取走回复",
  "no connection waits for one piece": "没有连接在等，或者回答不止一条",
};
const reason = (d, l) => l === "zh" ? REASONS[d.reason] || d.reason : d.reason;
const EVENTS = {
  "written": {who: "platform", zh: "在手机上按下发送", en: "Sent on the phone"},
  "delivery": {who: "platform", zh: "平台开始投递", en: "The platform began to deliver",
    more: (d, l) => d.number > 1 && (l === "zh" ? "第 " + d.number + " 次" : "try " + d.number)},
  "delivery.shown": {who: "platform", end: true, zh: "回复随投递返回，显示在手机上", en: "The reply came back with the delivery and was shown"},
  "delivery.empty": {who: "platform", end: true, zh: "投递得到确认，回答稍后推送", en: "Delivery acknowledged; the answer will be pushed"},
  "delivery.duplicate_passive": {who: "platform", end: true, warn: true, zh: "同一条消息的第二个回复，没有显示", en: "A second reply to one message, not shown"},
  "delivery.cut": {who: "platform", end: true, warn: true, zh: "5 秒内没有回应，平台切断连接", en: "No response within 5 s: the platform cut the connection"},
  "delivery.failed": {who: "platform", end: true, warn: true, zh: "投递失败，平台会重试", en: "Delivery failed; the platform tries again", more: (d) => d.reason},
  "delivery.invalid": {who: "platform", end: true, warn: true, zh: "回复无效，没有显示", en: "The reply was not valid and was not shown", more: (d) => d.reason},
  "streaming": {who: "platform", zh: "手机上出现第一段文字，随后继续增长", en: "The first text appeared on the phone, and grows"},
  "streamed": {who: "platform", end: true, zh: "回答完整地显示在手机上", en: "The whole answer was shown on the phone", more: (d, l) => BYTES[l](d.bytes)},
  "mode.stream": {who: "server", zh: "平台仍在轮询：由流带走回答", en: "The platform still asks: the stream brings the answer"},
  "stream.fetched": {who: "server", zh: "平台取走完整回答", en: "The platform took the whole answer", more: (d, l) => BYTES[l](d.bytes)},
  "stream.missed": {who: "server", warn: true, zh: "取回答的连接已断开，等下一次", en: "Whoever took the answer was gone: it waits again"},
  "stream.closed": {who: "server", zh: "流到时结束，回答另发一条", en: "The stream's time was up; the answer follows in a message of its own"},
  "pushed": {who: "platform", end: true, zh: "推送的消息显示在手机上", en: "The pushed message was shown on the phone", more: (d, l) => BYTES[l](d.bytes)},
  "received": {who: "server", zh: "收到、验签、解密，写入账本", en: "Received, verified, decrypted, written to the ledger"},
  "repeated": {who: "server", zh: "同一条消息再次到达，不重复处理", en: "The same message again: not worked on twice",
    more: (d, l) => l === "zh" ? "第 " + d.connection + " 个连接" : "connection " + d.connection},
  "noted": {who: "server", zh: "已记录，无需回答", en: "Noted; needs no answer"},
  "leased": {who: "server", zh: "工作进程领取", en: "A worker took it up"},
  "run.started": {who: "dify", zh: "Dify 应用开始运行", en: "The Dify app began to run", more: (d) => d.again},
  "answer.found": {who: "dify", zh: "在 Dify 找到已有的回答", en: "Found the answer that Dify had saved"},
  "answered": {who: "dify", zh: "检索、生成完毕，得到回答", en: "Searched, generated: the answer is there",
    more: (d, l) => l === "zh" ? d.characters + " 个字，分 " + d.pieces + " 条" : d.characters + " characters in " + d.pieces + (d.pieces === 1 ? " piece" : " pieces")},
  "ask.failed": {who: "dify", warn: true, zh: "应用没有给出回答", en: "The app gave no answer", more: (d) => d.code},
  "mode.passive": {who: "server", zh: "来得及：直接在回调里回复", en: "In time: reply within the callback"},
  "mode.push": {who: "server", zh: "来不及或太长：改为主动推送", en: "Too late or too long: push", more: reason},
  "passive.fetched": {who: "server", zh: "等待的连接带走回复", en: "The waiting connection took the reply", more: (d, l) => BYTES[l](d.bytes)},
  "piece.sent": {who: "server", zh: "推送接口确认成功", en: "The push API confirmed it",
    more: (d, l) => l === "zh" ? "第 " + d.ordinal + " 条" : "piece " + d.ordinal},
  "later": {who: "server", warn: true, zh: "稍后再试", en: "Put off", more: (d, l) => d.reason + " · " + SECONDS[l](d.in_s)},
  "worker.lost": {who: "server", warn: true, zh: "工作进程中断，由下一个接手", en: "The worker died; the next one takes over"},
  "given.up": {who: "server", warn: true, zh: "放弃，并记录原因", en: "Given up, with the reason kept", more: (d) => d.reason},
};
// Where the time went: from one milestone to the next.
const SHARES = [
  {from: "written", to: "received", who: "platform", zh: "投递", en: "deliver"},
  {from: "received", to: "leased", who: "server", zh: "领取", en: "take up"},
  {from: "leased", to: "run.started", who: "server", zh: "交给 Dify", en: "hand to Dify"},
  {from: "run.started", to: "answered", who: "dify", zh: "检索与生成", en: "search and generate"},
  {from: "answered", to: "end", who: "platform", zh: "送回手机", en: "back to the phone"},
];
const SAYS = {
  zh: {
    passive: "被动回复", stream: "流式回答", push: "主动推送", open: "等待中", failed: "没有送达",
    deliveries: (n) => "投递 " + n + " 次", runs: (n) => "模型运行 " + n + " 次", total: (ms) => "共 " + ms,
    unsent: "没有发出去，请再试一次。", bot: "深桥助手", hello: "这是演示手机。问一个员工手册里的问题试试。",
    language: "Switch to English", title: "深桥 · 手机", code: "zh-CN", other: "EN", otherCode: "en",
  },
  en: {
    passive: "passive reply", stream: "streamed", push: "pushed", open: "waiting", failed: "not delivered",
    deliveries: (n) => n + (n === 1 ? " delivery" : " deliveries"), runs: (n) => n + " model " + (n === 1 ? "run" : "runs"), total: (ms) => ms + " in all",
    unsent: "This was not sent. Please try again.", bot: "Shenqiao", hello: "This is a demo phone. Ask something that the employee handbook answers.",
    language: "切换到中文", title: "Shenqiao · phone", code: "en", other: "中", otherCode: "zh-CN",
  },
};
const NAMES = {zhangwei: {zh: "张伟", en: "Zhang Wei"}, lina: {zh: "李娜", en: "Li Na"}, tom: {zh: "汤姆", en: "Tom"}};

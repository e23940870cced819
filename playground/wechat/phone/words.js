"use strict";
// What the ledger's events mean, in both languages; `what(data)` is the small line beneath.
const WORDS = {
  "delivery.shown": {zh: "平台投递，回复直接显示在手机上", en: "Delivered; the reply was shown at once"},
  "delivery.empty": {zh: "平台投递，已确认收到", en: "Delivered and acknowledged"},
  "delivery.cut": {zh: "平台等待超过 5 秒，切断连接", en: "The platform cut the connection after 5 s", warn: true},
  "delivery.failed": {zh: "投递失败，平台会重试", en: "Delivery failed; the platform tries again", warn: true},
  "delivery.invalid": {zh: "回复无效，没有显示", en: "The reply was not valid and was not shown", warn: true},
  "received": {zh: "收到并写入账本", en: "Received and written to the ledger"},
  "repeated": {zh: "同一条消息再次投递，不重复处理", en: "The same message again: not worked on twice"},
  "noted": {zh: "已记录，无需回答", en: "Noted; needs no answer"},
  "leased": {zh: "工作进程领取", en: "A worker took it up"},
  "run.started": {zh: "Dify 应用开始运行", en: "The Dify app began to run"},
  "answer.found": {zh: "在 Dify 找到了已有的回答", en: "Found the answer that Dify had saved"},
  "answered": {zh: "得到回答", en: "Answered"},
  "mode.passive": {zh: "决定：随回调直接回复", en: "Decided: reply within the callback"},
  "mode.push": {zh: "决定：主动推送", en: "Decided: push"},
  "passive.fetched": {zh: "回复交给等待中的连接", en: "The waiting connection took the reply"},
  "piece.sent": {zh: "推送成功", en: "Pushed"},
  "later": {zh: "稍后再试", en: "Put off", warn: true},
  "worker.lost": {zh: "工作进程中断，由下一个接手", en: "The worker died; the next one takes over", warn: true},
  "ask.failed": {zh: "应用没有给出回答", en: "The app gave no answer", warn: true},
  "given.up": {zh: "放弃，并记录原因", en: "Given up, with the reason kept", warn: true},
};
const STATES = {
  zh: {passive: "被动回复", push: "主动推送", open: "等待中", runs: "模型运行", deliveries: "投递", total: "总耗时"},
  en: {passive: "passive reply", push: "push", open: "waiting", runs: "Model runs:", deliveries: "Deliveries:", total: "In all"},
};
const NAMES = {zhangwei: {zh: "张伟", en: "Zhang Wei"}, lina: {zh: "李娜", en: "Li Na"}, tom: {zh: "汤姆", en: "Tom"}};

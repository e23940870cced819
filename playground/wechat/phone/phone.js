"use strict";
const $ = (id) => document.getElementById(id);
let language = "zh";
let user = "";
let last = 0;          // number of the newest bubble on the screen
let chosen = "";       // the message whose life is shown
let shownAt = 0;       // time of the last separator
let round = 0;         // a change of user ends the polls of the one before

async function begin() {
  const start = await (await fetch("/api/start")).json();
  for (const name of start.users) $("user").add(new Option(label(name), name));
  for (const text of start.suggestions) {
    const chip = document.createElement("button");
    chip.type = "button";
    chip.textContent = text;
    chip.addEventListener("click", () => send(text));
    $("suggestions").append(chip);
  }
  $("user").addEventListener("change", () => become($("user").value));
  $("language").addEventListener("click", () => speak(language === "zh" ? "en" : "zh"));
  $("compose").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = $("text").value.trim();
    $("text").value = "";
    if (text) send(text);
  });
  become(start.users[0]);
}

function label(name) {
  return NAMES[name] ? NAMES[name][language] : name;
}

function speak(chosenLanguage) {
  language = chosenLanguage;
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-zh]")) element.textContent = element.dataset[language];
  $("text").placeholder = $("text").dataset[language + "Placeholder"];
  $("language").textContent = language === "zh" ? "EN" : "中";
  for (const option of $("user").options) option.textContent = label(option.value);
  if (chosen) show(chosen);
}

function become(name) {
  user = name;
  last = 0;
  shownAt = 0;
  $("chat").replaceChildren();
  listen(++round);
}

async function send(text) {
  typing(true);
  const body = JSON.stringify({user, text});
  const answer = await fetch("/api/messages", {method: "POST", headers: {"Content-Type": "application/json"}, body});
  if (answer.ok) choose((await answer.json()).msg_id);
  else typing(false);
}

async function listen(mine) {
  while (mine === round) {
    try {
      const query = new URLSearchParams({user, after: last, wait_s: last ? 25 : 1});
      const entries = (await (await fetch("/api/chat?" + query)).json()).entries;
      if (mine !== round) return;
      for (const entry of entries) add(entry);
      if (entries.length && chosen) show(chosen);
      if (!last && !entries.length) await pause(500);
    } catch {
      await pause(1000);
    }
  }
}

function add(entry) {
  last = entry.id;
  if (entry.at - shownAt > 300) separator(entry.at);
  const mine = entry.source === "user";
  const row = document.createElement("li");
  row.className = mine ? "mine" : "theirs";
  const face = document.createElement("span");
  face.className = "face";
  face.setAttribute("aria-hidden", "true");
  face.textContent = mine ? label(user).slice(0, 1) : "桥";
  const bubble = document.createElement(mine ? "button" : "div");
  bubble.className = "bubble";
  if (mine) {
    bubble.type = "button";
    bubble.dataset.message = entry.msg_id;
    bubble.setAttribute("aria-pressed", String(entry.msg_id === chosen));
    bubble.addEventListener("click", () => choose(entry.msg_id));
    bubble.textContent = entry.text;
  } else {
    fill(bubble, entry.text);
  }
  row.append(face, bubble);
  typing(false);
  $("chat").append(row);
  if (mine) typing(true);
  $("chat").scrollTop = $("chat").scrollHeight;
}

// An answer's last paragraph names its sources; it is set apart, as text like all of it.
function fill(bubble, text) {
  const parts = text.split("\n\n");
  const sources = parts.filter((part) => /^(来源：|Source: )/.test(part));
  bubble.textContent = parts.filter((part) => !sources.includes(part)).join("\n\n");
  for (const part of sources) {
    const line = document.createElement("span");
    line.className = "source";
    line.textContent = part;
    bubble.append(line);
  }
}

function typing(on) {
  const old = document.querySelector("#chat .typing");
  if (old) old.remove();
  if (!on) return;
  const row = document.createElement("li");
  row.className = "theirs typing";
  row.innerHTML = '<span class="face" aria-hidden="true">桥</span><div class="bubble"><span class="dots"><i></i><i></i><i></i></span></div>';
  $("chat").append(row);
  $("chat").scrollTop = $("chat").scrollHeight;
}

function separator(at) {
  shownAt = at;
  const row = document.createElement("li");
  row.className = "time";
  row.textContent = new Date(at * 1000).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"});
  $("chat").append(row);
}

function choose(message) {
  chosen = message;
  for (const bubble of document.querySelectorAll(".mine .bubble"))
    bubble.setAttribute("aria-pressed", String(bubble.dataset.message === message));
  show(message);
}

async function show(message) {
  const life = await (await fetch("/api/messages/" + encodeURIComponent(message))).json();
  if (message !== chosen) return;
  const steps = merge(life);
  $("hint").hidden = true;
  $("facts").hidden = $("timeline").hidden = false;
  $("timeline").replaceChildren(...steps.map((step) => line(step, steps[0].at)));
  facts(life, steps);
  const state = life.server.message ? life.server.message.state : "";
  if (state !== "done" && state !== "failed") setTimeout(() => message === chosen && show(message), 400);
}

function merge(life) {
  const steps = [];
  for (const one of life.deliveries)
    steps.push({at: one.started_at + one.seconds, name: "delivery." + one.outcome, platform: true, data: {delivery: one.number, status: one.status || "–"}});
  for (const event of life.server.events || []) steps.push({at: event.at, name: event.name, data: event.data});
  return steps.sort((a, b) => a.at - b.at);
}

function line(step, first) {
  const words = WORDS[step.name] || {zh: step.name, en: step.name};
  const row = document.createElement("li");
  row.className = [step.platform ? "platform" : "", words.warn ? "warn" : ""].join(" ").trim();
  const ms = document.createElement("span");
  ms.className = "ms";
  ms.textContent = "+" + Math.round((step.at - first) * 1000) + " ms";
  const dot = document.createElement("span");
  dot.className = "dot";
  const what = document.createElement("div");
  what.className = "what";
  what.textContent = words[language];
  const details = Object.entries(step.data).filter(([, value]) => value !== "" && value !== null);
  if (details.length) {
    const small = document.createElement("small");
    small.textContent = details.map(([name, value]) => name + " " + value).join(" · ");
    what.append(small);
  }
  row.append(ms, dot, what);
  return row;
}

function facts(life, steps) {
  const words = STATES[language];
  const message = life.server.message;
  const parts = [];
  if (message) {
    parts.push(words[message.mode] || message.mode);
    parts.push(words.deliveries + " " + message.connections);
    parts.push(words.runs + " " + message.model_runs);
  }
  if (steps.length > 1) parts.push(words.total + " " + Math.round((steps[steps.length - 1].at - steps[0].at) * 1000) + " ms");
  $("facts").replaceChildren(...parts.map((text) => {
    const chip = document.createElement("span");
    chip.textContent = text;
    return chip;
  }));
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
begin();

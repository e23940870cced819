"use strict";
const $ = (id) => document.getElementById(id);
const QUIET_S = 300;       // a pause after which the time is shown again
const TYPING_S = 180;      // nobody types longer than this
let language = "zh";
let users = [];
let user = "";
let surface = "app";       // whom the person writes to: app, bot
let last = 0;              // number of the newest change on the screen
let shownAt = 0;           // time of the newest bubble or separator
let chosen = "";           // the message whose life is shown
let life = null;           // that life
let listening = new AbortController();

async function begin() {
  const start = await (await fetch("api/start")).json();
  users = start.users;
  for (const name of users) $("user").add(new Option(label(name), name));
  for (const text of start.suggestions) suggest(text);
  $("user").addEventListener("change", () => become($("user").value));
  $("surface").hidden = start.surfaces.length < 2;
  $("subtitle").hidden = !$("surface").hidden;
  $("surface").addEventListener("change", () => {
    surface = $("surface").value;
    become(user);
  });
  $("language").addEventListener("click", () => speak(language === "zh" ? "en" : "zh"));
  $("compose").addEventListener("submit", (event) => {
    event.preventDefault();
    send($("text").value.trim());
  });
  new ResizeObserver(toEnd).observe($("chat"));  // a phone's keyboard takes half of the screen
  speak("zh");
  tell();
  setInterval(tell, 10000);
  become(users[0]);
}

function suggest(text) {
  const chip = make("button", "", text);
  chip.type = "button";
  chip.lang = /[\u4e00-\u9fff]/.test(text) ? "zh-CN" : "en";
  chip.addEventListener("click", () => send(text));
  $("suggestions").append(chip);
}

function speak(chosenLanguage) {
  language = chosenLanguage;
  const says = SAYS[language];
  document.documentElement.lang = says.code;
  document.title = says.title;
  for (const element of document.querySelectorAll("[data-zh]")) element.textContent = element.dataset[language];
  for (const element of document.querySelectorAll("[data-zh-label]"))
    element.setAttribute("aria-label", element.dataset[language + "Label"]);
  $("text").placeholder = $("text").dataset[language + "Placeholder"];
  $("language").textContent = says.other;
  $("language").lang = says.otherCode;
  $("language").setAttribute("aria-label", says.language);
  for (const option of $("user").options) option.textContent = label(option.value);
  const chips = [...$("suggestions").children];
  $("suggestions").append(...chips.filter((c) => c.lang === says.code), ...chips.filter((c) => c.lang !== says.code));
  $("suggestions").scrollLeft = 0;
  for (const picture of document.querySelectorAll("#chat .face")) name(picture, "person" in picture.dataset);
  const hello = document.querySelector("#chat .hello");
  if (hello) hello.textContent = says.hello;
  if (life) draw(life, language);
}

function label(name) {
  return NAMES[name] ? NAMES[name][language] : name;
}

function tell() {
  $("clock").textContent = time(Date.now() / 1000);
}

function become(name) {
  user = name;
  last = shownAt = 0;
  $("chat").replaceChildren(make("li", "time hello", SAYS[language].hello));
  listening.abort();
  listening = new AbortController();
  listen(listening.signal);
}

async function send(text) {
  if (!text) return;
  $("text").value = "";
  const body = JSON.stringify({user, text, surface});
  try {
    const answer = await fetch("api/messages", {method: "POST", headers: {"Content-Type": "application/json"}, body});
    if (!answer.ok) throw new Error(answer.status);
    choose((await answer.json()).msg_id);
  } catch {
    $("text").value = text;
    add({source: "notice", text: SAYS[language].unsent, at: Date.now() / 1000});
  }
}

// New bubbles arrive by a long poll: the answer comes when there is one.
async function listen(signal) {
  while (!signal.aborted) {
    try {
      const query = new URLSearchParams({user, after: last, wait_s: 25});
      const entries = (await (await fetch("api/chat?" + query, {signal})).json()).entries;
      if (signal.aborted) return;
      for (const entry of entries) {
        last = Math.max(last, entry.changed);
        if (entry.surface === surface) show(entry);
      }
      if (entries.length && chosen) refresh();
    } catch {
      await pause(1000);
    }
  }
}

// A stream's bubble is drawn anew in its place.
function show(entry) {
  const old = entry.stream && document.querySelector(`#chat [data-stream="${CSS.escape(entry.stream)}"]`);
  if (!old) return add(entry);
  old.replaceWith(row(entry));
  toEnd();
}

function add(entry) {
  if (entry.at - shownAt > QUIET_S) $("chat").append(make("li", "time", time(entry.at)));
  shownAt = entry.at;
  typing(false);
  $("chat").append(entry.source === "notice" ? notice(entry.text) : row(entry));
  if (entry.source === "user" && Date.now() / 1000 - entry.at < TYPING_S) typing(true);
  toEnd();
}

function row(entry) {
  const mine = entry.source === "user";
  const item = make("li", mine ? "mine" : "theirs");
  item.append(face(mine), mine ? question(entry) : answer(entry.text));
  if (entry.stream) item.dataset.stream = entry.stream;
  if (!mine && !entry.finish) item.lastChild.classList.add("growing");
  return item;
}

function face(mine) {
  const picture = make("span", "face");
  if (mine) picture.dataset.person = users.indexOf(user) % 3;
  picture.setAttribute("role", "img");
  name(picture, mine);
  return picture;
}

function name(picture, mine) {
  const whole = mine ? label(user) : SAYS[language].bot;
  picture.textContent = mine ? whole.slice(0, 1) : "桥";
  picture.setAttribute("aria-label", whole);
}

function question(entry) {
  const bubble = make("button", "bubble", entry.text);
  bubble.type = "button";
  bubble.dataset.message = entry.msg_id;
  bubble.setAttribute("aria-pressed", String(entry.msg_id === chosen));
  bubble.addEventListener("click", () => choose(entry.msg_id));
  return bubble;
}

// The paragraph that names the sources is set apart, as text like all of it.
function answer(text) {
  const bubble = make("div", "bubble");
  const parts = text.split("\n\n");
  const isSource = (part) => /^(来源：|Sources?: )/.test(part);
  bubble.textContent = parts.filter((part) => !isSource(part)).join("\n\n");
  for (const part of parts.filter(isSource)) bubble.append(make("span", "source", part));
  return bubble;
}

function notice(text) {
  const item = make("li", "time notice", text);
  item.setAttribute("role", "alert");
  return item;
}

function toEnd() {
  $("chat").scrollTop = $("chat").scrollHeight;
}

function typing(on) {
  document.querySelector("#chat .typing")?.remove();
  if (!on) return;
  const item = make("li", "theirs typing");
  const bubble = make("div", "bubble");
  const dots = make("span", "dots");
  dots.append(make("i", ""), make("i", ""), make("i", ""));
  bubble.append(dots);
  item.append(face(false), bubble);
  $("chat").append(item);
  toEnd();
}

function choose(message) {
  chosen = message;
  for (const bubble of document.querySelectorAll(".mine .bubble"))
    bubble.setAttribute("aria-pressed", String(bubble.dataset.message === message));
  follow(message);
}

// While a message is on its way its life is read again, less and less often.
async function follow(message) {
  for (let wait = 250; message === chosen && !(await refresh()) && wait < 30000; wait *= 1.15) await pause(wait);
}

async function refresh() {
  const message = chosen;
  try {
    const answer = await fetch("api/messages/" + encodeURIComponent(message));
    if (!answer.ok || message !== chosen) return false;
    life = await answer.json();
  } catch {
    return false;
  }
  if (message !== chosen) return false;
  draw(life, language);
  if (life.server.message?.state === "failed") typing(false);
  return isOver(life);
}

function time(at) {
  return new Date(at * 1000).toLocaleTimeString("en-GB", {hour: "2-digit", minute: "2-digit"});
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
begin();

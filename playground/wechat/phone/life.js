"use strict";
// "What happened behind": one message's steps, from the platform's deliveries and the tool server's ledger.

function steps(life) {
  const all = [];
  const pushes = life.shown.filter((bubble) => bubble.source === "push");
  for (const bubble of life.shown)
    if (bubble.source === "user") all.push({at: bubble.at, name: "written", data: {}});
  for (const one of life.deliveries) {
    all.push({at: one.started_at, name: "delivery", data: one});
    all.push({at: one.started_at + one.seconds, name: "delivery." + one.outcome, data: one});
  }
  for (const event of life.server.events || []) all.push(event);
  for (const bubble of life.shown.filter((one) => one.stream)) {
    if (bubble.text_at) all.push({at: bubble.text_at, name: "streaming", data: bubble});
    if (bubble.finish) all.push({at: bubble.changed_at, name: "streamed", data: bubble});
  }
  for (const bubble of pushes) all.push({at: bubble.at, name: "pushed", data: bubble});
  return all.sort((a, b) => a.at - b.at);
}

function isOver(life) {
  if (!life.behind) return life.deliveries.length > 0;
  const message = life.server.message;
  return Boolean(message) && ["done", "failed"].includes(message.state) && life.deliveries.length > 0;
}

function draw(life, language) {
  const all = steps(life);
  $("intro").hidden = true;
  $("facts").hidden = $("timeline").hidden = false;
  $("facts").replaceChildren(...facts(life, all, SAYS[language]).map((text) => make("span", "", text)));
  $("timeline").replaceChildren(...all.map((step) => line(step, all[0].at, language)));
  const parts = isOver(life) ? shares(all) : [];
  $("shares").hidden = parts.length === 0;
  $("shares").replaceChildren(...bar(parts, language));
}

function facts(life, all, says) {
  const message = life.server.message;
  const parts = [];
  if (message) parts.push(message.state === "failed" ? says.failed : says[message.mode] || message.mode);
  if (life.deliveries.length) parts.push(says.deliveries(life.deliveries.length));
  if (message) parts.push(says.runs(message.model_runs));
  const end = lastShown(all);
  if (end) parts.push(says.total(duration(end.at - all[0].at)));
  return parts;
}

function line(step, first, language) {
  const words = EVENTS[step.name] || {who: "server", zh: step.name, en: step.name};
  // The end of a delivery carries the class `platform`: there is one for each delivery.
  const row = make("li", [words.end ? "platform" : "", words.warn ? "warn" : ""].join(" ").trim());
  row.dataset.actor = words.who;
  const what = make("div", "what", words[language]);
  const more = words.more && words.more(step.data, language);
  if (more) what.append(make("small", "", more));
  row.append(make("span", "ms", "+" + duration(step.at - first)), make("span", "dot"), what);
  return row;
}

function shares(all) {
  const at = {end: lastShown(all)?.at};
  for (const step of all) at[step.name] ??= step.at;
  const parts = SHARES.map((share) => ({...share, seconds: at[share.to] - at[share.from]}));
  return parts.every((part) => part.seconds >= 0) ? parts : [];
}

function bar(parts, language) {
  if (!parts.length) return [];
  const strip = make("div", "strip");
  const list = make("ul", "");
  for (const part of parts) {
    const piece = make("span", "");
    piece.dataset.actor = part.who;
    piece.style.flexGrow = Math.max(part.seconds * 1000, 1);  // below 1 in all, they would not fill the strip
    strip.append(piece);
    const label = make("li", "", part[language] + " ");
    label.append(make("b", "", duration(part.seconds)));
    list.append(label);
  }
  strip.setAttribute("aria-hidden", "true");
  return [strip, list];
}

const lastShown = (all) => all.findLast((step) => ["delivery.shown", "streamed", "pushed"].includes(step.name));

const duration = (seconds) => seconds < 10 ? Math.round(seconds * 1000) + " ms" : seconds.toFixed(1) + " s";

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

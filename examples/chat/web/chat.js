// The page of the chat. Whatever comes from others is put into it as text (textContent), never as HTML.

import { Link } from "/link.js";

const longestLog = 500; // entries
const element = (id) => document.getElementById(id);
const log = element("log");
const scroller = log.parentElement;

let me = null; // {name, room, secret}
let link = null;
let joined = false; // has had a session since the name was chosen
let seen = new Set(); // IDs of frames, the oldest first
let unconfirmed = new Map(); // ID → text of what was said and has not come back yet
let said = 0;
let atEnd = true; // the log is scrolled to its end, and is kept there

// A secret of this tab proves to the server that it is the same page that comes back under a name.
const secret = (sessionStorage.secret ||= Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
  byte.toString(16).padStart(2, "0"),
).join(""));
const loaded = Date.now().toString(36);

// Joining, and leaving for good.

function join(name, room) {
  me = { name, room, secret };
  joined = false;
  seen = new Set();
  unconfirmed = new Map();
  log.replaceChildren();
  element("members").replaceChildren();
  element("refusal").textContent = "";
  connect();
}

function connect() {
  element("ending").hidden = true;
  element("composer").hidden = false;
  link?.close();
  link = new Link(me, showState, receive);
  link.connect();
}

function showEntrance(refusal) {
  delete sessionStorage.room;
  element("chat").hidden = true;
  element("entrance").hidden = false;
  element("refusal").textContent = refusal && `${refusal[0].toUpperCase()}${refusal.slice(1)}.`;
  element("name").focus();
}

function showChat() {
  sessionStorage.name = me.name;
  sessionStorage.room = me.room;
  document.title = `${me.room} · wspulse chat`;
  element("room-name").textContent = me.room;
  element("entrance").hidden = true;
  element("chat").hidden = false;
}

// The state of the connection.

const shortStates = { kicked: "Kicked", replaced: "Opened elsewhere", left: "Left", refused: "Refused" };
let lastState = "";
let lost = false; // and said so

function showState(state, reason, detail) {
  lastState = state;
  if (state === "ended" && reason === "refused") {
    showEntrance(detail);
    return;
  }
  if (state === "waiting") showChat();
  const text = { connecting: "Connecting…", connected: "Connected", waiting: reason, ended: shortStates[reason] }[state];
  element("state").dataset.state = state === "ended" ? reason : state;
  setText("state-text", text); // a live region, so it is left alone while nothing changes
  element("countdown").textContent = state === "waiting" ? `Reconnecting in ${detail} s` : "";
  element("now").hidden = state !== "waiting";
  element("drop").hidden = state === "waiting" || state === "ended";
  element("drop").disabled = element("send").disabled = state !== "connected";
  element("leave").hidden = state === "ended";
  if (state === "connected") lost = false;
  if (state === "waiting" && joined && !lost) {
    lost = true;
    add("notice", reason);
  }
  if (state === "ended") showEnding(detail);
}

function showEnding(text) {
  delete sessionStorage.room; // so that a reload does not come back uninvited
  setText("ending-text", text);
  element("ending").hidden = false;
  element("composer").hidden = true;
  setText("members-title", "Members");
  element("members").replaceChildren();
  element("rejoin").focus();
}

function setText(id, text) {
  if (element(id).textContent !== text) element(id).textContent = text;
}

// What the server sends.

function receive({ id, event, payload }) {
  if (seen.has(id)) return;
  seen.add(id);
  if (seen.size > longestLog) seen.delete(seen.values().next().value);
  switch (event) {
    case "joined":
    case "left":
    case "away":
    case "back":
      showMembers(payload.members);
      if (payload.name === me.name) welcome(event);
      else add("notice", `${payload.name} ${changes[event]}`);
      break;
    case "message":
      if (payload.from === me.name) unconfirmed.delete(payload.ref);
      addMessage(payload.from === me.name ? "message own" : "message", payload.from, payload);
      break;
    case "announcement":
      addMessage("announcement", "Announcement", payload);
      break;
    case "private":
      addMessage("private", "Only for you", payload);
      break;
    case "error":
      add("error", payload.text);
      break;
  }
}

const changes = {
  joined: "joined",
  left: "left",
  away: "lost the connection",
  back: "is back",
};

// welcome is told of what happened to this page's own session. What was queued for it while it was away came before.
function welcome(event) {
  if (link.ready || (event !== "joined" && event !== "back")) return;
  showChat();
  const waiting = [...unconfirmed];
  unconfirmed.clear();
  link.welcomed();
  if (event === "back") {
    add("notice", "You are back in your session");
    for (const [id, text] of waiting) say(text, id); // the server has not read these
  } else {
    add("notice", joined ? "You joined again: your session had ended, and what was said meanwhile is lost" : "You joined");
    for (const [, text] of waiting) add("error", `Perhaps not sent: ${text}`);
  }
  joined = true;
  element("text").focus();
}

function say(text, id) {
  if (!link.send("say", { text }, id)) return false;
  unconfirmed.set(id, text);
  return true;
}

// What is shown.

function showMembers(members) {
  setText("members-title", `Members (${members.length})`);
  element("members").replaceChildren(
    ...members.map(({ name, away }) => {
      const item = make("li", away ? "away" : "", avatar(name), make("span", "who", name));
      if (name === me.name) item.append(make("span", "badge", "you"));
      if (away) item.append(make("span", "badge", "away"));
      return item;
    }),
  );
}

function addMessage(kind, from, { text, at }) {
  const time = make("time", "", new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = new Date(at).toISOString();
  const item = add(kind, make("p", "from", make("span", "who", from), time), make("p", "text", text));
  if (kind.startsWith("message")) {
    item.prepend(avatar(from));
    item.dataset.from = from;
    const before = item.previousElementSibling;
    item.classList.toggle("continued", before?.dataset.from === from);
  }
}

function add(kind, ...content) {
  const item = make("li", kind, ...content);
  log.append(item);
  while (log.childElementCount > longestLog) log.firstElementChild.remove();
  if (atEnd) showEnd();
  return item;
}

function showEnd() {
  scroller.scrollTop = scroller.scrollHeight;
}

// avatar is the initial of a name, in a colour that goes with it.
function avatar(name) {
  const circle = make("span", "avatar", [...name][0].toUpperCase());
  let hue = 0;
  for (const letter of name) hue = (hue * 31 + letter.codePointAt(0)) % 360;
  circle.style.setProperty("--hue", hue);
  circle.ariaHidden = "true";
  return circle;
}

function make(tag, className, ...content) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...content); // strings become text nodes
  return made;
}

// What the person does.

scroller.addEventListener("scroll", () => {
  atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 40;
});
new ResizeObserver(() => atEnd && showEnd()).observe(scroller);

element("join").addEventListener("submit", (event) => {
  event.preventDefault();
  join(element("name").value.trim(), element("room").value.trim());
});
element("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = element("text").value.trim();
  if (text && say(text, `${loaded}-${++said}`)) element("text").value = "";
});
element("drop").addEventListener("click", () => link.drop());
element("leave").addEventListener("click", () => link.leave());
element("now").addEventListener("click", () => link.connect());
addEventListener("online", () => {
  if (lastState === "waiting") link.connect();
});
element("rejoin").addEventListener("click", connect);
element("change").addEventListener("click", () => showEntrance(""));

// A page that is reloaded within the resume window comes back to its session.
element("name").value = sessionStorage.name ?? "";
element("room").value = sessionStorage.room ?? element("room").value;
if (sessionStorage.name && sessionStorage.room) join(sessionStorage.name, sessionStorage.room);

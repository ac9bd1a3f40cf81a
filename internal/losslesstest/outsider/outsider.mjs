// A client of wspulse.v1: it sends COUNT messages, expects COUNT messages, and comes back after every drop.
// node outsider.mjs ws://127.0.0.1:PORT/?id=ID COUNT [BASE_MS CAP_MS]
import net from "node:net";
import { createHash, randomBytes } from "node:crypto";
const url = new URL(process.argv[2]), [total, base = 500, cap = 30000] = process.argv.slice(3).map(Number);
const TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10; // data is text, control is binary

// Of the session, which outlives transports:
let limits, id, token; // the last hello, and what it said
let received = 0; // messages that have come, with those of gaps
let acked = 0, kept = [], waiting = []; // kept: the messages from number acked + 1 on; waiting: those without a number yet
let lostBy; // "count", when this side has found that the counts differ
// Of the client:
let transport; // the one that counts: what another one says is ignored
let failures = 0, renewed = false, ended = false;
let next = 1, got = 0; // what is sent next, and how many have come, over all sessions

function frame(opcode, payload) { // nothing here is longer than 16 bits can say
  const data = Buffer.from(payload), n = data.length, mask = randomBytes(4);
  for (let i = 0; i < n; i++) data[i] ^= mask[i & 3];
  return Buffer.concat([Buffer.from(n < 126 ? [128 | opcode, 128 | n] : [128 | opcode, 254, n >> 8, n & 255]), mask, data]);
}

function dial() {
  const socket = net.connect({ host: url.hostname, port: url.port || 80, noDelay: true });
  const t = transport = { socket, key: randomBytes(16).toString("base64"), claimed: !!token, sent: 0, told: 0, news: 0, buffer: Buffer.alloc(0) };
  const claim = token ? `, wspulse.v1.resume.${Buffer.from(id).toString("base64url")}.${received}.${token}` : "";
  socket.write(`GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${t.key}\r\nSec-WebSocket-Protocol: wspulse.v1${claim}\r\n\r\n`);
  const on = (event, f) => socket.on(event, (x) => t === transport && f(x));
  on("data", (chunk) => {
    t.heard = performance.now(); // bytes, not whole messages: a long one on a slow line is life too
    t.buffer = Buffer.concat([t.buffer, chunk]);
    if (t.open || readAnswer(t)) readFrames(t);
  });
  on("drain", handOver);
  for (const end of ["end", "close"]) on(end, () => drop());
  socket.on("error", () => {}); // close follows
  t.dialTimer = setTimeout(drop, 10000);
}

function readAnswer(t) { // true: the WebSocket is open
  const end = t.buffer.indexOf("\r\n\r\n"), head = t.buffer.toString("latin1", 0, end);
  if (end < 0) return;
  const header = (name) => new RegExp(`^${name}:[ \t]*(.*?)[ \t]*$`, "im").exec(head)?.[1];
  t.buffer = t.buffer.subarray(end + 4);
  const status = head.slice(9, 12), wait = header("Retry-After") * 1000;
  if (status !== "101") { // some refusals come as a status, which stands for a bye
    t.bye = { reason: `status ${status}`, reconnect: !["403", "409"].includes(status), after: wait >= 0 ? [wait, 2 * wait] : undefined };
    return drop(status === "401" ? 4401 : undefined);
  }
  const accept = createHash("sha1").update(t.key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest("base64");
  if (header("Sec-WebSocket-Accept") !== accept) return drop();
  if (header("Sec-WebSocket-Protocol") !== "wspulse.v1") fail("the server does not speak wspulse.v1");
  return (t.open = true);
}

function readFrames(t) {
  while (t === transport && t.buffer.length >= 2) {
    const b = t.buffer, opcode = b[0] & 15, from = { 126: 4, 127: 10 }[b[1]] ?? 2;
    if (b[0] >> 4 !== 8 || b[1] > 127) return drop(1002); // the server fragments, compresses and masks nothing
    if (b.length < from) return;
    const n = from === 2 ? b[1] : from === 4 ? b.readUInt16BE(2) : Number(b.readBigUInt64BE(2));
    if (b.length < from + n) return;
    const payload = b.subarray(from, from + n);
    t.buffer = b.subarray(from + n);
    if (opcode === CLOSE) drop(n >= 2 ? payload.readUInt16BE() : 1000);
    else if (ended || opcode === PONG) continue; // behind our own close frame only its answer matters
    else if (opcode === PING) t.socket.write(frame(PONG, payload));
    else if (opcode === TEXT) onData(t, payload);
    else if (opcode === BINARY) onControl(t, payload);
    else drop(1002);
    handOver();
    finishWhenDone();
  }
}

const parse = (data) => { try { return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data)); } catch {} };
function onData(t, data) {
  if (!t.ready) return violation("protocol");
  t.news += data.length;
  deliver(t, JSON.stringify(parse(data)?.payload) ?? "?", 1); // what is no such object counts too
}
function deliver(t, line, n) { // the only place that counts
  [received, got] = [received + n, got + n];
  console.log(line);
  if (limits.window && (received - t.told >= 64 || t.news >= 32768)) ack(t);
  else if (limits.window) t.ackTimer ??= setTimeout(ack, 1000, t);
}

const isNumber = (n) => Number.isSafeInteger(n) && n >= 0, isText = (s) => typeof s === "string", isBool = (b) => typeof b === "boolean";
const valid = { // what there must be besides at
  hello: (m) => isText(m.id) && isBool(m.resumed) && isText(m.reason ?? "") && (m.window === 0 || /^[\w-]{43}$/.test(m.token)) &&
    [m.recv, m.window, m.heartbeat, m.maxBytes - 1, m.inflight - 1].every(isNumber),
  ack: (m) => isNumber(m.n),
  gap: (m) => isNumber(m.n) && m.n > 0,
  ping: () => true, pong: () => true,
  bye: (m) => isText(m.reason) && isBool(m.reconnect) && (!m.after || (m.after.length === 2 && [...m.after].every(isNumber))),
};

function onControl(t, data) {
  const m = parse(data);
  if (data.length > 4096 || !m || !Object.hasOwn(valid, m.t) || !isNumber(m.at) || !valid[m.t](m)) return violation("protocol");
  if (m.t === "bye") return void (t.bye = m); // the close frame follows
  if (!t.ready === (m.t !== "hello")) return violation("protocol"); // something before hello, or a second one
  if (t.ready && m.at !== received) return violation("count");
  if (m.t === "ack" && (m.n < acked || m.n > t.sent)) return violation("protocol");
  if (m.t === "hello") onHello(t, m);
  if (m.t === "ack") [kept, acked] = [kept.slice(m.n - acked), m.n];
  if (m.t === "gap") deliver(t, `gap ${m.n}`, m.n);
}

function onHello(t, m) {
  if (m.resumed ? !t.claimed || m.at !== received || m.recv < acked || m.recv > acked + kept.length : m.at !== 0) return violation("count");
  if (!m.resumed) {
    if (limits) lost(m.reason ?? lostBy ?? "dropped", kept.slice(Math.max(0, m.recv - acked)));
    [received, acked, kept] = [0, 0, []];
  }
  t.sent = m.resumed ? m.recv : 0; // behind what was accepted, however much was sent before
  [limits, id, token, lostBy, renewed, t.ready] = [m, m.id, m.window ? m.token : undefined, undefined, false, true];
  clearTimeout(t.dialTimer);
  t.calmTimer = setTimeout(() => (failures = 0), 5000); // a hello alone is not a success
  if (limits.window) ack(t); // even if it says 0: it confirms the token
}

function handOver() { // the only place that sends data messages
  const t = transport;
  while (t?.ready && !t.socket.writableNeedDrain) {
    if (t.sent === acked + kept.length) { // nothing is left to be sent again
      if (!waiting.length || (limits.window && kept.length >= limits.inflight)) return;
      kept.push(waiting.shift()); // this gives it its number
    }
    t.socket.write(frame(TEXT, text(kept[t.sent++ - acked])));
    if (!limits.window) [kept, acked] = [[], t.sent]; // nobody acknowledges
  }
}
const closeFrame = (code, reason = "") => frame(CLOSE, [code >> 8, code & 255, ...Buffer.from(reason)]);
const say = (t, m) => t.socket.write(frame(BINARY, JSON.stringify({ ...m, at: t.sent })));
function ack(t) {
  clearTimeout(t.ackTimer);
  [t.ackTimer, t.told, t.news] = [undefined, received, 0];
  say(t, { t: "ack", n: received });
}
function violation(why) {
  if (why === "count") [token, lostBy] = [undefined, why]; // the session can't go on
  if (why === "count" && transport.ready) say(transport, { t: "bye" });
  drop(4400, why);
}

function drop(code, reason) { // also when a dial has failed; with a code a close frame is said, or answered
  const t = transport;
  if (ended && code) return t.socket.end(); // this is the answer to ours
  if (ended) return console.log("done"), process.exit(0);
  transport = undefined; // from here on nothing that it says is counted: the claim says how far it came
  for (const timer of [t.dialTimer, t.ackTimer, t.calmTimer]) clearTimeout(timer);
  if (code && t.open) t.socket.end(closeFrame(code, reason));
  setTimeout(() => t.socket.destroy(), code && t.open ? 1000 : 0);
  if (t.bye?.reconnect === false) fail(t.bye.reason);
  const atOnce = code === 4401 && !renewed; // once: a credential may have expired
  const [least, most] = atOnce ? [0, 0] : t.bye?.after ?? [0, Math.min(cap, base * 2 ** failures)];
  atOnce ? (renewed = true) : failures++;
  setTimeout(dial, Math.min(least + Math.random() * (most - least), 2 ** 31 - 1)); // timers have 31 bits
}

setInterval(() => { // a dead path: TCP, and the server, may not notice for long
  if (transport?.ready && performance.now() - transport.heard > 2.5 * limits.heartbeat) drop();
}, 100);

function fail(why) {
  if (limits) lost(why, [...kept, ...waiting]); // no hello will say how many of them were processed
  console.error(why);
  process.exit(1);
}
const text = (payload) => JSON.stringify({ event: "n", payload });
const lost = (reason, payloads) => console.log([`lost ${reason}`, ...payloads].join("\n"));
setInterval(() => {
  if (!limits || next > total || waiting.length >= 64) return;
  if (text(next).length > limits.maxBytes) fail(`message ${next} is longer than the server takes`);
  waiting.push(next++);
  handOver();
}, 4);
function finishWhenDone() {
  if (ended || !transport?.ready || got < total || next <= total || waiting.length || kept.length) return;
  if (limits.window) ack(transport);
  say(transport, { t: "bye" });
  transport.socket.write(closeFrame(1000));
  ended = true;
  setTimeout(drop, 3000); // the end may never come
}
dial();

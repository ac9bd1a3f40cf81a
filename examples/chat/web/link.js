// A Link keeps a connection to the chat: it reconnects by itself, later each time, until it is told or has reason to stop.

const firstDelay = 500; // ms
const longestDelay = 15_000;
const stableAfter = 5_000; // connected for this long, the delays begin at the first again
const dropDelay = 4_000; // after a drop that was asked for: long enough to see it
const patience = 5_000; // for an answer of the server

export class Link {
  #identity;
  #onState;
  #onFrame;
  #socket = null;
  #ready = false;
  #ended = false;
  #attempts = 0;
  #nextDelay = null; // in place of the one that attempts give
  #timer = 0; // the next try, or the next second of the countdown
  #stable = 0;

  // identity is {name, room, secret}. onState gets ("connecting"), ("connected"), ("waiting", reason, seconds) each second,
  // and once ("ended", reason, text), where reason is "refused", "kicked", "replaced" or "left". onFrame gets each frame.
  constructor(identity, onState, onFrame) {
    this.#identity = identity;
    this.#onState = onState;
    this.#onFrame = onFrame;
  }

  get ready() {
    return this.#ready;
  }

  // connect tries at once, also in the middle of a countdown.
  async connect() {
    clearTimeout(this.#timer);
    this.#nextDelay = null;
    this.#onState("connecting");
    let answer, refusal;
    try {
      // A page cannot see why a WebSocket is refused, so it asks before.
      answer = await fetch("/join", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(this.#identity),
        signal: AbortSignal.timeout(patience),
      });
      if (answer.status >= 400 && answer.status < 500) refusal = (await answer.json()).error;
    } catch {
      answer = null;
    }
    if (this.#ended) return;
    if (refusal) this.#end("refused", refusal);
    else if (answer?.ok) this.#open();
    else this.#wait("The server cannot be reached.");
  }

  #open() {
    const url = new URL("/ws", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.search = new URLSearchParams(this.#identity);
    const socket = new WebSocket(url);
    this.#socket = socket;
    const impatience = setTimeout(() => socket.close(), patience);
    socket.onopen = () => clearTimeout(impatience);
    socket.onmessage = (message) => this.#onFrame(JSON.parse(message.data));
    socket.onclose = (event) => {
      clearTimeout(impatience);
      this.#closed(event);
    };
  }

  // welcomed tells that the server has the session going on the present socket.
  welcomed() {
    this.#ready = true;
    this.#stable = setTimeout(() => (this.#attempts = 0), stableAfter);
    this.#onState("connected");
  }

  #closed({ code, reason }) {
    const wasReady = this.#ready;
    this.#ready = false;
    this.#socket = null;
    clearTimeout(this.#stable);
    if (this.#ended) return;
    if (code === 1000 && reason === "kicked") this.#end("kicked", "You were kicked out of the room.");
    else if (code === 1000 && reason === "duplicate connection id") this.#end("replaced", "This chat was opened elsewhere.");
    else if (code === 1000) this.#end("left", "You have left the room.");
    else if (code === 1001) this.#wait("The server is shutting down.");
    else this.#wait(wasReady ? "Connection lost." : "No connection.");
  }

  #end(reason, text) {
    this.close();
    this.#onState("ended", reason, text);
  }

  // #wait lets twice the time pass as before the last try, up to a bound, and up to half of that less, so that the pages of
  // a server that comes back do not all knock at once.
  #wait(reason) {
    const delay = Math.min(longestDelay, firstDelay * 2 ** this.#attempts) * (1 - Math.random() / 2);
    const until = performance.now() + (this.#nextDelay ?? delay);
    this.#attempts++;
    const tick = () => {
      const left = until - performance.now();
      if (left <= 0) {
        this.connect();
        return;
      }
      const seconds = Math.ceil(left / 1000);
      this.#onState("waiting", reason, seconds);
      this.#timer = setTimeout(tick, left - (seconds - 1) * 1000);
    };
    tick();
  }

  // send sends a frame and says whether there was a socket to send it on, which is not to say that it arrived.
  send(event, payload, id) {
    if (!this.#ready || this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify({ id, event, payload }));
    return true;
  }

  // drop has the server cut the connection. Should the server not hear it, the page hangs up.
  drop() {
    const socket = this.#socket;
    if (!this.send("drop")) return;
    this.#nextDelay = dropDelay;
    setTimeout(() => socket.close(4000, "drop"), 1000);
  }

  // leave ends the session, whether there is a connection or not, and asks nothing more of the server.
  leave() {
    if (this.send("leave")) return;
    this.close();
    this.#onState("ended", "left", "You have left the room.");
  }

  // close hangs up and tries no more. It tells nobody.
  close() {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }
}

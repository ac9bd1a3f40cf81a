import type { Control, Hello } from '../src/control.js'
import type { Frame, WebSocketLike } from '../src/index.js'

// A server's end of WebSockets that a test plays, and a page.

type Sent = string | Uint8Array<ArrayBuffer>

const HELLO = {
  t: 'hello',
  id: 'alice',
  token: 't1',
  resumed: false,
  recv: 0,
  window: 30_000,
  heartbeat: 10_000,
  maxBytes: 512,
  inflight: 256,
  at: 0,
}

/** A frame with that event, and with the whole of a size, in bytes. */
export function sized(event: string, size = 0): Frame {
  const frame = { event, payload: '' }
  return size ? { event, payload: 'x'.repeat(Math.max(0, size - JSON.stringify(frame).length)) } : { event }
}

/** All sockets of a test, in order. */
export class Network {
  readonly sockets: FakeSocket[] = []
  /** What must not be. */
  readonly faults: string[] = []
  /** Whether close frames of the client are answered, at once. */
  answers = true
  /** Whether data messages are binary, and control messages text. */
  binary = false

  /** The constructor for the option WebSocket. */
  readonly WebSocket: new (
    url: string,
    offers?: string[],
  ) => FakeSocket

  constructor() {
    const net = this
    this.WebSocket = class extends FakeSocket {
      constructor(url: string, offers: string[] = []) {
        super(net, url, offers)
      }
    }
  }

  get last(): FakeSocket {
    const socket = this.sockets.at(-1)
    if (!socket) throw new Error('nobody has dialled')
    return socket
  }

  /** How many are open, or may be. */
  get alive() {
    return this.sockets.filter((s) => s.readyState < 2).length
  }
}

/** A socket as a page has it: what is sent when it does not open, or is closed, goes nowhere. */
export class FakeSocket implements WebSocketLike {
  binaryType = 'blob'
  protocol = ''
  bufferedAmount = 0
  readyState = 0
  onopen: ((event: any) => void) | null = null
  onmessage: ((event: any) => void) | null = null
  onerror: ((event: any) => void) | null = null
  onclose: ((event: any) => void) | null = null

  /** What the client has sent, in order. */
  readonly sent: Sent[] = []
  /** What the client has said in its close frame. */
  closed: [code?: number, reason?: string] | undefined
  #told = 0

  constructor(
    readonly net: Network,
    readonly url: string,
    readonly offers: string[],
  ) {
    net.sockets.push(this)
    if (net.alive > 1) net.faults.push('two sockets at once')
    queueMicrotask(() => this.binaryType === 'arraybuffer' || net.faults.push('binaryType is set too late'))
  }

  send(data: Sent) {
    if (this.readyState === 0) throw new Error('InvalidStateError')
    if (this.readyState === 1) this.sent.push(data)
  }

  close(code?: number, reason?: string) {
    if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) throw new Error('InvalidAccessError')
    if (this.readyState >= 2) return
    const answer = this.readyState ? (code ?? 1005) : 1006
    this.readyState = 2
    this.closed = [code, reason]
    if (this.net.answers) queueMicrotask(() => this.end(answer, reason))
  }

  // The server's part.

  open(protocol = 'wspulse.v1') {
    this.readyState = 1
    this.protocol = protocol
    this.onopen?.({})
  }

  /** Opens it, if that has not been done, and says hello. */
  hello(fields: Partial<Hello> = {}) {
    if (!this.readyState) this.open()
    this.control({ ...HELLO, ...fields } as Hello)
  }

  control(message: Control) {
    this.raw(JSON.stringify(message))
  }

  /** Says something by the opcode of control messages. */
  raw(text: string) {
    this.say(this.net.binary ? text : new TextEncoder().encode(text).buffer)
  }

  /** Sends a frame, or a message that is none. */
  data(frame: Frame | string) {
    const text = typeof frame === 'string' ? frame : JSON.stringify(frame)
    this.say(this.net.binary ? new TextEncoder().encode(text).buffer : text)
  }

  say(data: string | ArrayBuffer) {
    this.onmessage?.({ data })
  }

  bye(reason: string, reconnect: boolean, code: number, after?: [number, number]) {
    this.control({ t: 'bye', at: 0, reason, reconnect, ...(after && { after }) })
    this.end(code, reason)
  }

  /** It is over: 1006 without a close frame. */
  end(code = 1006, reason = '') {
    if (this.readyState === 3) return
    this.readyState = 3
    this.onerror?.({})
    this.onclose?.({ code, reason })
  }

  /** What the client has sent since the last time: "ack:3@1" for an ack of 3 behind 1 message, or the events. */
  said(): string {
    const news = this.sent.slice(this.#told)
    this.#told = this.sent.length
    return news.map((data) => this.#word(data)).join(' ')
  }

  #word(data: Sent) {
    const m = JSON.parse(typeof data === 'string' ? data : new TextDecoder().decode(data))
    if ((typeof data === 'string') !== this.net.binary) return m.event ?? '?'
    if (typeof data !== 'string' && !(data instanceof Uint8Array)) return 'neither text nor Uint8Array'
    return `${m.t}${m.n === undefined ? '' : `:${m.n}`}@${m.at}`
  }
}

/** Locks as navigator.locks has them, as far as they are needed: exclusive ones. */
class FakeLocks {
  readonly #queues = new Map<string, Promise<unknown>>()

  async request(name: string, { signal }: { signal: AbortSignal }, run: () => Promise<unknown>) {
    const before = this.#queues.get(name)
    let release!: () => void
    const mine = new Promise<void>((resolve) => (release = resolve))
    this.#queues.set(name, Promise.all([before, mine]))
    try {
      await new Promise<unknown>((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
        ;(before ?? Promise.resolve()).then(resolve)
      })
      return await run()
    } finally {
      release()
    }
  }
}

/** What a page has and Node has not. */
export class Page {
  readonly window = new EventTarget()
  readonly document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
  readonly locks = new FakeLocks()
  /** The events that somebody has ever listened to. */
  readonly listened = new Set<string>()

  constructor() {
    for (const target of [this.window, this.document]) {
      const add = target.addEventListener.bind(target)
      target.addEventListener = (event: string, ...rest: [any, any]) => {
        this.listened.add(event)
        add(event, ...rest)
      }
    }
  }

  get globals() {
    const { window, document, locks } = this
    return { document, navigator: { locks }, addEventListener: window.addEventListener }
  }

  become(visibilityState: 'visible' | 'hidden') {
    this.document.visibilityState = visibilityState
    this.document.dispatchEvent(new Event('visibilitychange'))
  }

  online() {
    this.window.dispatchEvent(new Event('online'))
  }

  offline() {
    this.window.dispatchEvent(new Event('offline'))
  }

  resume() {
    this.document.dispatchEvent(new Event('resume'))
  }

  pageshow(persisted: boolean) {
    this.window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted }))
  }

  pagehide(persisted: boolean) {
    this.window.dispatchEvent(Object.assign(new Event('pagehide'), { persisted }))
  }
}

import { type Hello, PROTOCOL, Violation } from './control.js'
import { type Message, sizeOf } from './frame.js'
import type { Session } from './options.js'

const ACK_MESSAGES = 64
const ACK_BYTES = 32 << 10

/** A session that a client has come back too late for. */
export interface Loss {
  reason: string
  unprocessed: Message[]
}

/** What counts of a hello, later. */
type Limits = Pick<Hello, 'id' | 'token' | 'window' | 'inflight' | 'maxBytes'>

/**
 * What a client has counted: the messages of both directions, from 1 for as long as its session lives. It knows no
 * socket and no clock.
 */
export class Ledger {
  hello: Limits = { id: '', window: 0, inflight: 256, maxBytes: Infinity } // the last one
  opened = false // there has been one
  broken = false // the two ends count differently: there is nothing to claim

  // What this end sends: acked | kept | waiting.
  acked = 0 // messages that the server has processed
  kept: Message[] = [] // those after it that have been sent once, at least
  waiting: Message[] = [] // those that have not
  sent = 0 // the number of the last message on this transport

  // What the other end sends.
  received = 0
  due = 0 // received, when there was last room for more: what may be acknowledged
  told = 0 // what has been acknowledged
  news = 0 // bytes since

  get pending() {
    return this.kept.length + this.waiting.length
  }

  /** Whether the server keeps the session when the connection is lost, and acknowledges. */
  get keeps() {
    return this.hello.window > 0
  }

  /** Whether there is something to claim. */
  get #claims() {
    return !!this.hello.token && !this.broken
  }

  /** The subprotocols to offer, with the claim. From here on nothing is counted that an older transport says. */
  offer(): string[] {
    const { id, token } = this.hello
    if (!this.#claims) return [PROTOCOL]
    this.due = this.received // the claim acknowledges it
    const base64 = btoa(String.fromCharCode(...new TextEncoder().encode(id)))
    const base64url = base64.replace(/[+/=]/g, (c) => ({ '+': '-', '/': '_' })[c] ?? '')
    return [PROTOCOL, `${PROTOCOL}.resume.${base64url}.${this.received}.${token}`]
  }

  /** Begins with a new transport. The loss is that of the session before; undefined: it goes on, or there was none. */
  greet(hello: Hello): Loss | undefined {
    const { id, resumed, recv, at } = hello
    const { acked, kept, received } = this
    if (
      resumed
        ? !this.#claims || id !== this.hello.id || at !== received || recv < acked || recv > acked + kept.length
        : at
    )
      throw new Violation('count', 'hello')
    const loss: Loss | undefined =
      resumed || !this.opened
        ? undefined
        : {
            reason: hello.reason || (this.broken ? 'count' : 'dropped'),
            unprocessed: kept.slice(Math.max(0, recv - acked)),
          }
    if (!resumed) {
      this.kept = []
      this.acked = this.received = this.due = this.told = this.news = 0
    }
    this.sent = resumed ? recv : 0
    this.hello = hello
    this.opened = true
    this.broken = false
    return loss
  }

  /** Takes the next message that may be sent; undefined: there is none. */
  next(): Message | undefined {
    let message = this.kept[this.sent - this.acked]
    if (message === undefined) {
      if (this.keeps && this.kept.length >= this.hello.inflight) return
      message = this.waiting.shift()
      if (message === undefined) return
      if (this.keeps) this.kept.push(message)
      else this.acked++ // where nobody acknowledges, that has to do
    }
    this.sent++
    return message
  }

  /** Removes what the server has processed: so many messages in all. */
  acknowledged(n: number) {
    if (n < this.acked || n > this.sent) throw new Violation('protocol', `ack ${n}, of ${this.sent}`)
    this.kept.splice(0, n - this.acked)
    this.acked = n
  }

  /** Counts messages that have come. It says whether it is time to acknowledge them: not while there is no room. */
  receive(messages: number, size: number, full: boolean): boolean {
    this.received += messages
    if (full) return false
    this.due = this.received
    this.news += size
    return this.keeps && (this.due >= this.told + ACK_MESSAGES || this.news >= ACK_BYTES)
  }

  /** The number to acknowledge, which has been then. */
  ack(): number {
    this.news = 0
    this.told = this.due
    return this.told
  }

  /** Throws for a message that the server does not take. */
  check(message: Message) {
    const { maxBytes } = this.hello
    const size = sizeOf(message)
    if (size > maxBytes)
      throw new RangeError(`wspulse: ${size} bytes, the server takes ${maxBytes} (WithMaxMessageSize)`)
  }

  /** Goes on with what another client has counted. */
  adopt({ id, token, received, acked, kept, waiting }: Session) {
    Object.assign(this, { received, acked, kept, waiting, due: received, opened: true })
    this.hello = { ...this.hello, id, token, window: 1 }
  }
}

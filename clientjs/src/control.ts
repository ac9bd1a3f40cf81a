import { sizeOf } from './frame.js'

// The control messages of wspulse.v1: docs/protocol.md, section 2.

export const PROTOCOL = 'wspulse.v1'

export interface Hello {
  t: 'hello'
  at: number
  id: string
  token?: string
  resumed: boolean
  reason?: string
  recv: number
  window: number
  heartbeat: number
  maxBytes: number
  inflight: number
}

export interface Bye {
  t: 'bye'
  at: number
  reason: string
  reconnect: boolean
  after?: [number, number]
}

export type Control = Hello | Bye | { t: 'ack' | 'gap'; at: number; n: number } | { t: 'ping' | 'pong'; at: number }

/** What breaks the protocol. It ends the transport with 4400. */
export class Violation extends Error {
  constructor(
    /** "count": the two ends count differently, and the session can't go on. */
    readonly why: 'protocol' | 'count',
    text: string,
  ) {
    super(`wspulse: the server breaks wspulse.v1: ${text}`)
  }
}

const MAX_SIZE = 4096

/** What must be in the messages of each type: values of the same type, and numbers at least as great. */
const LEAST: Record<string, Record<string, unknown>> = {
  hello: { id: '', resumed: true, recv: 0, window: 0, heartbeat: 0, maxBytes: 1, inflight: 1 },
  ack: { n: 0 },
  gap: { n: 1 },
  ping: {},
  pong: {},
  bye: { reason: '', reconnect: true },
}

/** Whether a value is of the same type, and a number whole and at least as great. */
export const fits = (value: any, least: any) =>
  typeof value === typeof least && (typeof least !== 'number' || (Number.isSafeInteger(value) && value >= least))

/** Reads a control message. It throws a Violation for what is none. */
export function parse(data: string | ArrayBuffer): Control {
  try {
    const m = JSON.parse(typeof data === 'string' ? data : new TextDecoder('utf-8', { fatal: true }).decode(data))
    const [min, max] = m.after ?? [0, 0]
    if (
      sizeOf(data) <= MAX_SIZE &&
      Object.hasOwn(LEAST, m.t) &&
      Object.entries({ at: 0, ...LEAST[m.t] }).every(([field, least]) => fits(m[field], least)) &&
      fits(min, 0) &&
      fits(max, min)
    )
      return m
  } catch {}
  throw new Violation('protocol', 'no control message')
}

import { expect } from 'vitest'
import type { Session } from '../src/index.js'
import { type FakeSocket, sized } from './fake.js'
import { pass, type User, until, type World } from './world.js'

// A server of wspulse.v1 that keeps lists, and compares all that a client says with them. Between the two there is a wire
// that may break behind any message.

/** What may happen. Where it can't at the moment, it does not. */
export type Act =
  | { t: 'send' | 'say' | 'gap' | 'up' | 'down' | 'process' | 'pass'; n: number }
  | {
      t:
        | 'ack'
        | 'large'
        | 'answer'
        | 'fail'
        | 'drop'
        | 'bye'
        | 'silence'
        | 'online'
        | 'hold'
        | 'release'
        | 'export'
        | 'leave'
    }
  | { t: 'lose'; n: number; reason: string }
  | { t: 'inflight'; n: number }

/** What the server sends: a message, or a gap. */
interface Item {
  word: string // what the program is told
  n: number // of messages
  gap: boolean
}

interface Numbered extends Item {
  last: number // of its messages
}

/** A session, as the server has it. */
class ModelSession {
  readonly items: Numbered[] = [] // all of them
  readonly accepted: string[] = []
  processed = 0
  acknowledged = 0 // by the client: messages
  ended: { recv: number; reason: string } | undefined

  /** How many messages the first items are. */
  count(items: number) {
    return this.items[items - 1]?.last ?? 0
  }

  add(item: Item) {
    this.items.push({ ...item, last: this.count(this.items.length) + item.n })
  }
}

/** What has come to the client of a session, and what it has done with it. */
class Known {
  items = 0 // that have come
  received = 0 // messages that these are
  acked = 0 // by the server
  readonly handed: string[] = [] // to any transport, in order: the first one has number 1

  constructor(
    readonly session?: ModelSession,
    public token = '',
    public inflight = 0,
  ) {}
}

export class Model {
  user!: User
  session = new ModelSession()
  known = new Known()
  inflight = 256
  readonly expected: string[] = [] // what the program must be told, in order
  readonly told: string[] = []
  compared = 0 // of these
  sent = 0 // frames of the program: c1, c2, …
  fresh = 0 // those that have been handed over
  said = 0 // frames of the server
  hellos = 0
  held: Promise<void> | undefined // callbacks wait for it
  release = () => {}
  leaving = false // the next callback exports the session

  // Of the transport.
  socket: FakeSocket | undefined
  down: (() => void)[] = [] // on its way to the client
  up: string[] = [] // on its way to the server
  greeted = false // hello has come
  number = 0 // of the last message of the client
  seen = 0 // of what the client has sent
  next = 0 // item of the server

  constructor(readonly world: World) {
    world.becomePage()
    this.connect()
  }

  connect(session?: Session) {
    const note = (word: string) => {
      this.told.push(word)
      if (this.leaving) this.export()
      return this.held
    }
    this.user = this.world.dial({
      retryFirst: true,
      sendBuffer: 1 << 20,
      onMessage: ({ event }) => note(event),
      onGap: (n) => note(`gap:${n}`),
      onSessionLost: ({ reason, unprocessed }) => note(`lost:${reason}(${unprocessed.map(({ event }) => event)})`),
      ...(session && { session }),
    })
  }

  async act(act: Act) {
    const { session } = this
    const { client } = this.user
    if (act.t === 'send') for (let i = 0; client && i < act.n; i++) client.send(sized(`c${++this.sent}`) as any)
    else if (act.t === 'say') for (let i = 0; i < act.n; i++) this.add({ word: `s${++this.said}`, n: 1, gap: false })
    else if (act.t === 'large') this.add({ word: `s${++this.said}${'.'.repeat(20_000)}`, n: 1, gap: false })
    else if (act.t === 'gap') this.add({ word: `gap:${act.n}`, n: act.n, gap: true })
    else if (act.t === 'up') this.read(act.n)
    else if (act.t === 'down') for (const arrive of this.down.splice(0, act.n)) arrive()
    else if (act.t === 'process') session.processed = Math.min(session.accepted.length, session.processed + act.n)
    else if (act.t === 'ack') this.ack()
    else if (act.t === 'pass') await pass(act.n)
    else if (act.t === 'answer') await this.answer()
    else if (act.t === 'fail') await this.dialled((s) => s.end())
    else if (act.t === 'drop') this.socket?.end()
    else if (act.t === 'bye') this.socket?.bye('shutdown', true, 1001, [0, 100])
    else if (act.t === 'silence') await this.silence()
    else if (act.t === 'online') this.world.page!.online()
    else if (act.t === 'hold') this.held ??= new Promise((resolve) => (this.release = resolve))
    else if (act.t === 'release') this.free()
    else if (act.t === 'export') this.export()
    else if (act.t === 'leave') this.leaving = true
    else if (act.t === 'inflight') this.inflight = act.n
    else if (act.t === 'lose' && !this.socket) session.ended ??= { recv: act.n, reason: act.reason }
    await pass()
    this.look()
  }

  free() {
    this.release()
    this.held = undefined
  }

  // The server.

  add(item: Item) {
    if (this.session.ended) return
    this.session.add(item)
    if (this.socket) this.handOver()
  }

  /** Sends what there is. */
  handOver() {
    const { session } = this
    for (; this.next < session.items.length; this.next++) {
      const { word, n, gap } = session.items[this.next]!
      const at = session.count(this.next)
      this.send((s) => {
        this.expected.push(word)
        this.known.items++
        this.known.received += n
        if (gap) s.control({ t: 'gap', n, at })
        else s.data({ event: word })
      })
    }
  }

  ack() {
    const { processed: n } = this.session
    const at = this.session.count(this.next)
    this.send((s) => {
      this.known.acked = n
      s.control({ t: 'ack', n, at })
    })
  }

  /** Has something stand on the wire, if there is one. */
  send(arrive: (s: FakeSocket) => void) {
    const { socket } = this
    if (!socket) return
    this.down.push(() => {
      if (this.socket === socket) arrive(socket)
      this.look()
    })
  }

  read(n: number) {
    for (const word of this.up.splice(0, n)) {
      if (word.startsWith('c')) this.session.accepted.push(word)
      const at = this.session.count(this.next)
      if (word === 'ping') this.send((s) => s.control({ t: 'pong', at }))
    }
  }

  /** Waits until the client dials, as it must, unless there is a connection. */
  async dialled(then: (s: FakeSocket) => void) {
    if (this.socket) return
    expect(await until(() => this.world.net.alive > 0, 40_000)).toBe(true)
    const { socket } = this.world
    const { token, received } = this.known
    const claim = `wspulse.v1.resume.YWxpY2U.${received}.${token}`
    expect([...socket.offers]).toEqual(token ? ['wspulse.v1', claim] : ['wspulse.v1'])
    then(socket)
  }

  /** Answers a dial: with hello, and all that has not come. */
  answer() {
    return this.dialled((s) => {
      const { known, inflight } = this
      const resumed = known.session === this.session && !this.session.ended
      if (!resumed) this.session = new ModelSession()
      const { session } = this
      if (resumed) session.acknowledged = known.received // the claim says so
      const recv = resumed ? session.accepted.length : (known.session?.ended?.recv ?? 0)
      const token = `t${++this.hellos}`
      const reason = known.session ? (known.session.ended?.reason ?? 'expired') : undefined
      const at = resumed ? known.received : 0
      this.socket = s
      this.next = resumed ? known.items : 0
      this.down = []
      this.up = []
      this.greeted = false
      this.seen = 0
      s.open()
      this.send(() => {
        const before = this.known
        this.greeted = true
        this.number = resumed ? recv : 0
        if (resumed) Object.assign(before, { token, inflight })
        else this.known = new Known(session, token, inflight)
        if (!resumed && before.session) this.tellLost(before, recv, reason!)
        s.hello({ token, resumed, recv, at, inflight, ...(!resumed && reason && { reason }) })
        expect(s.said()).toMatch(new RegExp(`^ack:${at}@${resumed ? recv : 0}( |$)`))
      })
      this.handOver()
    })
  }

  tellLost({ handed, acked }: Known, recv: number, reason: string) {
    this.expected.push(`lost:${reason}(${handed.slice(Math.max(recv, acked))})`)
  }

  /** The path dies, and nobody is told: the client finds out. */
  async silence() {
    const { socket } = this
    this.down = [() => {}]
    if (socket) expect(await until(() => socket.readyState >= 2, 40_000)).toBe(true)
  }

  /** The page is loaded again. */
  export() {
    const { client } = this.user
    this.leaving = false
    this.look()
    const session = client?.exportSession()
    if (!session) return
    this.look()
    this.connect(JSON.parse(JSON.stringify(session)))
  }

  // The client.

  /** Looks at what the client has sent, and at what it says of itself. */
  look() {
    const { socket: s, known, session } = this
    for (; s && this.seen < s.sent.length; this.seen++) {
      const data = s.sent[this.seen]!
      expect(this.greeted, 'something is sent before hello has come').toBe(true)
      if (typeof data === 'string') this.lookAtMessage(JSON.parse(data).event)
      else {
        const { t, at, n } = JSON.parse(new TextDecoder().decode(data))
        expect(at, `at of ${t}`).toBe(this.number)
        this.up.push(t)
        if (t !== 'ack') continue
        expect(n).toBeLessThanOrEqual(known.received)
        expect(n).toBeGreaterThanOrEqual(session.acknowledged)
        expect(n === 0 || session.items.some(({ last }) => last === n), 'it acknowledges half of a gap').toBe(true)
        session.acknowledged = n
      }
    }
    if (s && s.readyState >= 2) {
      this.socket = undefined
      this.down = []
      this.up = []
    }
    for (; this.compared < this.told.length; this.compared++)
      expect(this.told[this.compared]).toBe(this.expected[this.compared])
    const { client } = this.user
    if (client?.connected) expect(client.pending).toBe(this.sent - this.fresh + known.handed.length - known.acked)
  }

  lookAtMessage(word: string) {
    const { handed, acked, inflight } = this.known
    this.number++
    if (this.number > handed.length) {
      expect(word).toBe(`c${++this.fresh}`)
      handed.push(word)
      expect(handed.length - acked).toBeLessThanOrEqual(inflight)
    }
    expect(word).toBe(handed[this.number - 1])
    this.up.push(word)
  }

  /** Brings all to its end: everything comes, is processed and acknowledged. */
  async finish() {
    this.free()
    for (let i = 0; i < 10_000 && !this.isDone(); i++) {
      await this.act({ t: 'answer' })
      await this.act({ t: 'down', n: Infinity })
      await this.act({ t: 'up', n: Infinity })
      await this.act({ t: 'process', n: Infinity })
      await this.act({ t: 'ack' })
      await this.act({ t: 'down', n: Infinity })
      await this.act({ t: 'pass', n: 1001 })
    }
    const { client } = this.user
    expect(this.told).toEqual(this.expected)
    expect(this.session.accepted).toEqual(this.known.handed)
    await client.drained()
    expect(client.pending).toBe(0)
    expect(this.fresh).toBe(this.sent)
    expect(this.session.acknowledged).toBe(this.session.count(this.session.items.length))
  }

  isDone() {
    const { session, known } = this
    return (
      known.session === session &&
      this.user.client?.connected &&
      known.items === session.items.length &&
      known.acked === known.handed.length &&
      this.sent === this.fresh &&
      session.acknowledged === known.received &&
      !this.down.length &&
      !this.up.length
    )
  }
}

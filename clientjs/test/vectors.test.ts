import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type Client, connect, type Options, RefusedError } from '../src/index.js'
import { type FakeSocket, sized } from './fake.js'
import { newWorld, pass, until } from './world.js'

// The client, against the transcripts of wspulse.v1 in testdata/protocol, whose README says what is in them. The server's
// part is played here.

const DIR = new URL('../../testdata/protocol/', import.meta.url)
const STEP_TIME = 2000 // ms that a step may take,
const DIAL_TIME = 35_000

const NOT_READ = 'a 503: a page can not read it, and comes back as after any dial that fails'

/** Vectors in which the client is refused by the status of an answer. None of them has a Retry-After, or a 401. */
const STATUS: Record<string, string> = {
  '5-client-status': NOT_READ,
  '8-backoff': NOT_READ,
  '8-close-while-away': NOT_READ,
}

type Fields = Record<string, any>

const world = newWorld()

for (const file of readdirSync(DIR).filter((name) => name.endsWith('.json'))) {
  const vector = JSON.parse(readFileSync(new URL(file, DIR), 'utf8'))
  const name = file.slice(0, -'.json'.length)
  if (!vector.runs.includes('client')) continue
  test(name, async () => {
    expect(Object.hasOwn(STATUS, name)).toBe(vector.steps.some(({ client }: Fields) => client?.status >= 400))
    await new Player(vector).play()
  })
}

/** In ms, of "500ms" or "5s". */
const ms = (span: string) => Number.parseFloat(span) * (span.endsWith('ms') ? 1 : 1000)

/** Plays the part of the server. */
class Player {
  client: Client | undefined
  readonly events: string[] = []
  readonly names = new Map<string, string>()
  readonly log: string[] = []
  socket: FakeSocket | undefined
  dials = 0
  heard = 0 // of what the client has sent by this socket
  count = 0 // of its messages
  closed = false // its close frame was listed, or heard
  back: Fields | undefined // what it has said, and is to be heard again
  silent = false // nothing gets through to it
  sent = 0 // by the program
  before: Fields[] = [] // what the program wanted to do when it was not connected
  where = ''

  constructor(readonly vector: Fields) {}

  async play() {
    const page = world.becomePage()
    this.dial()
    for (const [i, step] of this.vector.steps.entries()) {
      this.where = `step ${i + 1}: ${JSON.stringify(step)}\n${this.log.join('\n')}\n`
      if (step.on && step.on !== 'main') continue
      if (step.clientApplication === 'wake') page.become('visible')
      else await this.take(step)
      await pass()
    }
    await this.client?.close()
  }

  /** Where the first dial fails the program tries again, as the client does later. */
  async dial() {
    for (;;) {
      try {
        this.client = await connect('wss://server/', this.options)
        this.events.push('connect')
        for (const step of this.before) this.act(step)
        return
      } catch (error) {
        const final = error instanceof RefusedError ? !error.reconnect : /at \S+ does not speak/.test(`${error}`)
        if (final) return
        await new Promise((resolve) => setTimeout(resolve, 200))
      }
    }
  }

  get options(): Options {
    const note = (word: string) => this.events.push(word)
    return {
      WebSocket: world.net.WebSocket,
      sendBuffer: 4096,
      onMessage: ({ event }) => void note(`message ${event.slice(1)}`),
      onGap: (n) => void note(`gap ${n}`),
      onDrop: () => void note('drop'),
      onRestore: () => void note('restore'),
      onSessionLost: ({ reason, unprocessed }) =>
        void note(['lost', reason, ...unprocessed.map(({ event }) => event!.slice(1))].join(' ')),
      onDisconnect: () => void note('disconnect'),
    }
  }

  fail(got: string): never {
    throw new Error(`${this.vector.row}: ${this.vector.about}\n${this.where}got ${got}`)
  }

  async take(step: Fields) {
    const { client, server } = step
    if (client?.dial) return this.expectDial(step)
    if (client?.nothing) return this.expectNothing(step)
    if (client) return this.expect(step)
    if (server) return this.say(server)
    if (step.drop) return this.socket!.end()
    if (step.silence) {
      world.net.answers = false
      this.silent = true
    } else if (step.clientApplication === 'sees') expect(this.events.splice(0), this.where).toEqual(step.events)
    else if (step.clientApplication) this.act(step)
    else if (step.wait) await pass(ms(step.wait))
  }

  async expectDial({ client, within }: Fields) {
    const { sockets } = world.net
    if (!(await until(() => sockets.length > this.dials, within ? ms(within) : DIAL_TIME))) this.fail('no dial')
    const s = sockets[this.dials++]!
    world.net.answers = true
    this.socket = s
    this.heard = 0
    this.closed = this.silent = false
    const offer = (o: any) => (typeof o === 'string' ? this.fill(o) : this.claim(o.claim))
    expect([...s.offers], this.where).toEqual(client.dial.map(offer))
    if (client.status >= 400) s.end()
    else s.open(client.selects ?? 'wspulse.v1')
  }

  claim({ id, recv, token }: Fields) {
    return `wspulse.v1.resume.${Buffer.from(this.fill(id)).toString('base64url')}.${recv}.${this.fill(token)}`
  }

  /** Puts in what variables stand for. */
  fill(text: string) {
    return text.replace(/\$\w+/g, (name) => {
      if (!this.names.has(name)) this.names.set(name, `token-${this.names.size}`)
      return this.names.get(name)!
    })
  }

  /** What the client says next; undefined: nothing, so far. */
  next(): Fields | undefined {
    const { back } = this
    this.back = undefined
    if (back) return back
    const { sent, closed } = this.socket!
    const data = sent[this.heard]
    if (data === undefined) return closed && !this.closed ? this.hearClose(closed[0]) : undefined
    this.heard++
    this.log.push(`client: ${typeof data === 'string' ? data : new TextDecoder().decode(data)}`)
    if (typeof data === 'string') {
      this.count++
      return { message: data }
    }
    const m = JSON.parse(new TextDecoder().decode(data))
    if (m.at !== this.count) this.fail(`${m.t} at ${m.at}: ${this.count} have come`)
    if (this.vector.never?.client?.includes(m.t)) this.fail(`${m.t}, which must never be`)
    return m
  }

  hearClose(close = 1005): Fields {
    this.closed = true
    this.log.push(`client: close ${close}`)
    return { close }
  }

  async expect(step: Fields) {
    const { messages, bytes, reason, ...want } = step.client
    if (!messages) return this.expectOne(step, want)
    for (let k = messages[0]; k <= messages[1]; k++)
      await this.expectOne(step, { message: JSON.stringify(sized(`c${k}`, bytes)) })
  }

  async expectOne({ within, optional, client }: Fields, want: Fields) {
    const end = Date.now() + (within ? ms(within) : STEP_TIME)
    for (;;) {
      let got: Fields | undefined
      await until(() => !!(got = this.next()), end - Date.now())
      if (!got && optional) return
      if (!got) this.fail('nothing')
      if (Object.entries(want).every(([field, value]) => JSON.stringify(got![field]) === JSON.stringify(value))) return
      if (got.t === 'ping' || (got.t === 'ack' && (client.t !== 'ack' || got.n < client.n))) continue
      if (!optional) this.fail(JSON.stringify(got))
      this.back = got
      return
    }
  }

  async expectNothing({ client, strict }: Fields) {
    const end = Date.now() + ms(client.nothing)
    const skipped = (got: Fields) => got.close || (!strict && (got.t === 'ping' || got.t === 'ack'))
    while (Date.now() < end) {
      let got: Fields | undefined
      await until(() => !!(got = this.next()) || world.net.sockets.length > this.dials, end - Date.now())
      if (got && !skipped(got)) this.fail(JSON.stringify(got))
      if (world.net.sockets.length > this.dials) this.fail('a dial')
    }
  }

  async say(server: Fields) {
    const s = this.socket!
    this.log.push(`server: ${JSON.stringify(server)}`)
    if (server.nothing) await pass(ms(server.nothing))
    if (this.silent || server.nothing) return
    if (server.t) {
      if (server.t === 'hello') this.count = server.resumed ? server.recv : 0
      const { size = 0, ...m } = server
      for (const [field, value] of Object.entries(m)) if (value === null || value === '*') delete m[field]
      s.raw(this.fill(JSON.stringify(m)).padEnd(size))
    } else if (server.raw !== undefined) s.raw(server.raw)
    else if (server.data !== undefined) s.data(server.data)
    else if (server.messages)
      for (let k = server.messages[0]; k <= server.messages[1]; k++) s.data(sized(`s${k}`, server.bytes))
    else if (server.close) {
      this.closed = true // the answer need not be listed
      s.end(server.close, server.reason === '*' ? '' : server.reason)
    } else s.end()
  }

  act(step: Fields) {
    if (!this.client) this.before.push(step)
    else if (step.clientApplication === 'close') this.client.close()
    else
      for (let i = 0; i < step.count; i++) {
        try {
          this.client.send(sized(`c${this.sent + 1}`, step.bytes) as any)
          this.sent++
        } catch {}
      }
  }
}

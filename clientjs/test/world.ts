import { afterEach, beforeEach, expect, vi } from 'vitest'
import type { Hello } from '../src/control.js'
import { type Client, connect, type Options } from '../src/index.js'
import { type FakeSocket, Network, Page } from './fake.js'

/** Lets pass so many ms, and everything that waits for nothing else happen. */
export const pass = (ms = 0) => vi.advanceTimersByTimeAsync(ms)

/** Lets time pass until something is so, or for so many ms. It says whether it is so. */
export async function until(done: () => boolean, ms: number): Promise<boolean> {
  let over = false
  const marker = setTimeout(() => (over = true), ms)
  await pass()
  let is = done()
  for (; !is && !over; is = done()) await vi.advanceTimersToNextTimerAsync()
  clearTimeout(marker)
  return is
}

/** Has timers fire so many ms late, as those of a page that sleeps do. */
export async function sleep(ms: number) {
  vi.setSystemTime(Date.now() + ms)
  await vi.advanceTimersToNextTimerAsync()
}

/** A program with a client, and what its callbacks were told. */
export class User {
  client!: Client
  /** Settles as connect does. */
  connecting!: Promise<Client>
  /** The errors of onDrop and onDisconnect. */
  readonly errors: any[] = []
  readonly #events: string[] = []

  note(word: string) {
    this.#events.push(word)
  }

  /** What the callbacks were told since the last time, such as "message drop restore". */
  heard(): string {
    return this.#events.splice(0).join(' ')
  }
}

/** What a test has for itself: time, a network, and a page if it wants one. After each test it is looked at. */
export class World {
  net!: Network
  page: Page | undefined
  reports: any[] = []
  users: User[] = []

  begin() {
    vi.clearAllTimers()
    this.net = new Network()
    this.page = undefined
    this.reports = []
    this.users = []
  }

  /** Closes what is open, and looks whether all has been as it must be, always. */
  async end() {
    for (const { client } of this.users) client?.close()
    await pass(60_000)
    const { dials } = this
    this.page?.online()
    this.page?.become('visible')
    await pass(60_000)
    expect(this.net.faults).toEqual([])
    expect(this.reported()).toEqual([])
    expect(this.net.alive, 'sockets left over').toBe(0)
    expect(this.dials, 'dials after the end').toBe(dials)
    expect(vi.getTimerCount(), 'timers left over').toBe(0)
    expect(setInterval).not.toHaveBeenCalled()
    for (const event of ['unload', 'beforeunload']) expect(this.page?.listened.has(event)).not.toBe(true)
  }

  get socket(): FakeSocket {
    return this.net.last
  }

  get dials() {
    return this.net.sockets.length
  }

  /** From now on it is a page. */
  becomePage(): Page {
    this.page = new Page()
    for (const [name, value] of Object.entries(this.page.globals)) vi.stubGlobal(name, value)
    return this.page
  }

  /** The errors that were nobody else's since the last time, in words. */
  reported(): string[] {
    return this.reports.splice(0).map((e) => `${e?.message ?? e}`)
  }

  /** Begins to connect. Callbacks write down that they have run. */
  dial(given: Options & { url?: string | (() => string | Promise<string>) } = {}): User {
    const { url = 'wss://server/ws', ...options } = given
    const user = new User()
    const journal: Options = {
      WebSocket: this.net.WebSocket,
      onMessage: ({ event }) => user.note(`${event}`),
      onGap: (n) => user.note(`gap:${n}`),
      onDrop(error) {
        user.errors.push(error)
        user.note('drop')
      },
      onRestore: () => user.note('restore'),
      onSessionLost: ({ reason, unprocessed }) => user.note(`lost:${reason}(${unprocessed.map((f) => f.event)})`),
      onDisconnect(error) {
        user.errors.push(error)
        user.note('disconnect')
      },
    }
    this.users.push(user)
    user.connecting = connect(url, { ...journal, ...options })
    user.connecting.then(
      (client) => (user.client = client),
      () => {},
    )
    return user
  }

  /** Connects: the server says hello. */
  async connect(options: Parameters<World['dial']>[0] = {}, hello: Partial<Hello> = {}): Promise<User> {
    const user = this.dial(options)
    await pass()
    if (options.protocol === false) this.socket.open('')
    else this.socket.hello(hello)
    await user.connecting
    await pass()
    if (options.protocol !== false && hello.window !== 0) expect(this.socket.said()).toBe('ack:0@0')
    return user
  }

  /** Drops the connection, and waits until the client dials again. */
  async redial() {
    const before = this.dials
    this.socket.end()
    expect(await until(() => this.dials > before, 30_000)).toBe(true)
  }
}

/** A new world for each test of a file. */
export function newWorld(): World {
  const world = new World()

  beforeEach(() => {
    vi.useFakeTimers()
    vi.spyOn(globalThis, 'setInterval')
    vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
      const timeout = new AbortController()
      setTimeout(() => timeout.abort(new DOMException('too late', 'TimeoutError')), ms)
      return timeout.signal
    })
    vi.stubGlobal('reportError', (error: unknown) => world.reports.push(error))
    world.begin()
  })

  afterEach(async () => {
    await world.end()
    vi.unstubAllGlobals()
    vi.restoreAllMocks()
    vi.useRealTimers()
  })

  return world
}

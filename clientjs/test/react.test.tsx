// @vitest-environment happy-dom
import { type Frame, type Options, RefusedError, type WebSocketLike } from '@wspulse/client'
import { type Connection, useEvent, useWspulse } from '@wspulse/client/react'
import { act, createContext, StrictMode, useContext, version } from 'react'
import { createRoot, hydrateRoot, type Root } from 'react-dom/client'
import { renderToString } from 'react-dom/server'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

type Events = { line: string; move: { x: number; y: number } }

/** The server's end of what the client has dialled. */
class Socket implements WebSocketLike {
  static all: Socket[] = []
  /** What the server does with the next ones. */
  static answer: (socket: Socket) => void = (socket) => socket.hello()

  binaryType = ''
  protocol = 'wspulse.v1'
  bufferedAmount = 0
  onopen: WebSocketLike['onopen'] = null
  onmessage: WebSocketLike['onmessage'] = null
  onerror: WebSocketLike['onerror'] = null
  onclose: WebSocketLike['onclose'] = null
  told: string[] = []
  closed = false
  #sent = 0

  constructor(
    readonly url: string,
    readonly offered: string[] = [],
  ) {
    Socket.all.push(this)
    setTimeout(() => Socket.answer(this))
  }

  // The client's.
  send(data: string | Uint8Array) {
    this.told.push(typeof data === 'string' ? data : JSON.parse(new TextDecoder().decode(data)).t)
  }
  close(code = 1000) {
    if (this.closed) return
    this.closed = true
    this.told.push(`close ${code}`)
    setTimeout(() => this.onclose?.({ code, reason: '' }))
  }

  // The server's.
  control(m: object) {
    this.onmessage?.({ data: new TextEncoder().encode(JSON.stringify({ at: this.#sent, ...m })).buffer })
  }
  hello(more: object = {}) {
    const limits = { window: 30_000, heartbeat: 30_000, maxBytes: 1 << 20, inflight: 256 }
    this.onopen?.({})
    this.control({ t: 'hello', id: 'ann', token: 'secret', resumed: false, recv: 0, ...limits, ...more })
  }
  frame(frame: Frame) {
    this.#sent++
    this.onmessage?.({ data: JSON.stringify(frame) })
  }
  line(payload: string) {
    this.frame({ event: 'line', payload })
  }
  gap(n: number) {
    this.control({ t: 'gap', n })
    this.#sent += n
  }
  drop(code = 1006, reason = '') {
    this.closed = true
    this.onclose?.({ code, reason })
  }
}

const options = (more: Options<Events> = {}): Options<Events> => ({ WebSocket: Socket, jitter: 0, base: 100, ...more })
const URL_A = 'ws://127.0.0.1/a'
const URL_B = 'ws://127.0.0.1/b'

let root: Root
let element: HTMLElement
let renders: string[] // the state at each render
let now: Connection<Events>
let journal: string[]

/** A component that shows its state, and writes down each render. */
function Page({ url = URL_A, given = options() }: { url?: string | null; given?: Options<Events> }) {
  now = useWspulse(url, given)
  renders.push(`${now.state}${now.client ? ' client' : ''}${now.error ? ` ${now.error.name}` : ''}`)
  return <p>{now.state}</p>
}

function Listening({ name = '', ...page }: { name?: string; url?: string | null; given?: Options<Events> }) {
  Page(page)
  useEvent(now, 'line', (payload, frame) => void journal.push(`${name}${frame.payload === payload && payload}`))
  return null
}

const Context = createContext<Connection<Events>>(undefined!)

function Provider({ given = options(), children }: { given?: Options<Events>; children?: React.ReactNode }) {
  now = useWspulse(URL_A, given)
  return <Context.Provider value={now}>{children}</Context.Provider>
}

function On({ event, fn }: { event: keyof Events; fn: (payload: unknown) => unknown }) {
  useEvent(useContext(Context), event, fn)
  return null
}

const render = (what: React.ReactNode) => act(async () => root.render(what))
const pass = (ms = 10) => act(() => vi.advanceTimersByTimeAsync(ms))
const last = () => Socket.all.at(-1)!

beforeEach(() => {
  vi.useFakeTimers()
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true)
  vi.spyOn(console, 'error').mockClear()
  vi.stubGlobal('reportError', (error: Error) => journal.push(`reported ${error.message}`))
  Socket.all = []
  Socket.answer = (socket) => socket.hello()
  renders = []
  journal = []
  element = document.body.appendChild(document.createElement('main'))
  root = createRoot(element)
})

afterEach(() => {
  element.remove()
  vi.useRealTimers()
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

afterEach(async () => {
  await act(async () => root.unmount())
  await pass(10_000)
  expect(Socket.all.filter((s) => !s.closed)).toEqual([])
  expect(vi.getTimerCount(), 'timers that are left').toBe(0)
  expect(console.error).not.toHaveBeenCalled() // React complains there
})

test(`the version of React is the one that is meant: ${version}`, ({ task }) => {
  expect(version).toMatch(task.file.projectName === 'react18' ? /^18\./ : /^19\./)
})

test('a connection opens, and a thousand messages render nothing', async () => {
  await render(<Listening />)
  await pass()
  expect(renders).toEqual(['connecting', 'open client'])
  expect(now.client!.id).toBe('ann')
  for (let i = 0; i < 1000; i++) last().line(`${i}`)
  await pass()
  expect(journal).toEqual(Array.from({ length: 1000 }, (_, i) => `${i}`))
  expect(renders).toHaveLength(2)
})

test('StrictMode leaves one connection, and the other one never dials', async () => {
  const protocols = vi.fn(() => [])
  const session = { id: 'ann', token: 'kept', received: 0, acked: 0, kept: [], waiting: [], inbox: [] }
  await render(
    <StrictMode>
      <Listening given={options({ protocols, session, onDisconnect: () => void journal.push('disconnected') })} />
    </StrictMode>,
  )
  await pass()
  expect(Socket.all).toHaveLength(1)
  expect(last().offered.join()).toMatch(/resume.*kept/) // the session went to the one that is left
  expect(protocols).toHaveBeenCalledTimes(1)
  expect(now.state).toBe('open')
  last().line('hello')
  await pass()
  expect(journal).toEqual(['hello'])
  await act(async () => root.unmount())
  await pass()
  expect(last().told).toEqual(['ack', 'bye', 'close 1000'])
  expect(journal).toEqual(['hello', 'disconnected'])
})

test('null is no connection, until there is a url', async () => {
  await render(<Page url={null} />)
  await pass()
  expect([renders, Socket.all]).toEqual([['closed'], []])
  await render(<Page />)
  await pass()
  await render(<Page url={null} />)
  await pass()
  expect(renders).toEqual(['closed', 'connecting', 'open client', 'closed'])
  expect(last().told).toContain('bye')
})

test('another url is another connection, and the first one is closed', async () => {
  await render(<Listening />)
  await pass()
  const { on } = now
  const first = last()
  first.line('from a')
  await render(<Listening url={URL_B} />)
  expect(renders.slice(2)).toEqual(['connecting']) // at once, without the other one's client
  first.line('late')
  await pass()
  expect(Socket.all.map((s) => s.url)).toEqual([URL_A, URL_B])
  expect(first.told.slice(-2)).toEqual(['bye', 'close 1000'])
  last().line('from b')
  await pass()
  expect(journal).toEqual(['from a', 'from b'])
  expect(renders.slice(3)).toEqual(['open client'])
  expect(now.on).toBe(on)
})

test('a session that is handed in is taken once', async () => {
  const session = { id: 'ann', token: 'kept', received: 0, acked: 0, kept: [], waiting: [], inbox: [] }
  await render(<Page given={options({ session })} />)
  await pass()
  await render(<Page url={URL_B} given={options({ session: { ...session } })} />)
  await pass()
  expect(Socket.all.map((s) => s.offered.length)).toEqual([2, 1])
})

test('unmounting closes, and only the end is told', async () => {
  const told = (what: string) => () => void journal.push(what)
  const given = options({
    onMessage: told('message'),
    onGap: told('gap'),
    onDrop: told('drop'),
    onPresence: told('presence'),
    handlers: { ask: told('ask') },
    onDisconnect: told('disconnect'),
  })
  await render(<Page given={given} />)
  await pass()
  last().line('before')
  await pass()
  await act(async () => root.unmount())
  last().line('after')
  last().gap(1)
  last().frame({ event: 'presence', payload: { room: 'r', full: true, join: [{ id: 'bob' }], count: 1 } })
  last().frame({ event: 'ask' })
  await pass()
  expect(journal).toEqual(['message', 'disconnect'])
  expect(last().told.slice(-2)).toEqual(['bye', 'close 1000'])
  expect(renders).toHaveLength(2)
})

test('unmounting before it is open gives it up', async () => {
  Socket.answer = () => {}
  await render(<Page given={options({ onDisconnect: () => void journal.push('disconnect') })} />)
  await act(async () => root.unmount())
  await pass()
  expect([last().told, journal, renders]).toEqual([['close 1000'], [], ['connecting']])
})

test('it comes back', async () => {
  await render(<Page />)
  await pass()
  const { client } = now
  await act(async () => last().drop())
  await pass(50)
  expect(now.error!.message).toContain('lost')
  await pass(100)
  expect(Socket.all).toHaveLength(2)
  expect(renders).toEqual(['connecting', 'open client', 'reconnecting client Error', 'open client'])
  expect(now.client).toBe(client)
})

test('the first dial is tried again, unless retryFirst is false', async () => {
  Socket.answer = (socket) => (Socket.all.length < 3 ? socket.drop() : socket.hello())
  await render(<Page />)
  await pass(1000)
  expect([Socket.all.length, renders]).toEqual([3, ['connecting', 'open client']])
  Socket.answer = (socket) => socket.drop()
  await render(<Page url={URL_B} given={options({ retryFirst: false })} />)
  await pass(1000)
  expect(Socket.all).toHaveLength(4)
  expect(renders.at(-1)).toBe('closed Error')
})

test('a refusal is an error', async () => {
  Socket.answer = (socket) => {
    socket.onopen?.({})
    socket.control({ t: 'bye', reason: 'room full', reconnect: false })
    socket.drop(4403, 'room full')
  }
  await render(<Page />)
  await pass(60_000)
  expect(Socket.all).toHaveLength(1)
  expect(renders).toEqual(['connecting', 'closed RefusedError'])
  expect(now.error).toBeInstanceOf(RefusedError)
  expect((now.error as RefusedError).reason).toBe('room full')
})

test('the end of a connection is its last state', async () => {
  await render(<Page />)
  await pass()
  await act(async () => void now.client!.close())
  await pass()
  expect(renders.slice(2)).toEqual(['closed client'])
  await render(<Page url={URL_B} />)
  await pass()
  await act(async () => {
    last().control({ t: 'bye', reason: 'kicked', reconnect: false })
    last().drop(4403)
  })
  await pass()
  expect(renders.slice(-2)).toEqual(['open client', 'closed client RefusedError'])
})

test('options that are out of bounds are an error', async () => {
  await render(<Page given={options({ base: 0 })} />)
  await pass()
  expect(renders).toEqual(['connecting', 'closed RangeError'])
})

test('the signal of the options closes, too', async () => {
  const end = new AbortController()
  await render(<Page given={options({ signal: end.signal })} />)
  await pass()
  await act(async () => end.abort())
  await pass()
  expect([now.state, last().told.slice(-2)]).toEqual(['closed', ['bye', 'close 1000']])
})

test('the latest callbacks are called', async () => {
  const given = (name: string) => {
    const write = (what: string) => () => void journal.push(`${name} ${what}`)
    return options({
      onMessage: write('message'),
      onGap: write('gap'),
      onDrop: write('drop'),
      onRestore: write('restore'),
      onSessionLost: write('lost'),
      onPresence: write('presence'),
      onDisconnect: write('disconnect'),
      onPageHide: write('hide'),
      handlers: { ask: write('ask') },
    })
  }
  await render(<Listening given={given('first')} name="first" />)
  await pass()
  await render(<Listening given={given('second')} name="second " />)
  last().line('line')
  last().gap(2)
  last().frame({ event: 'presence', payload: { room: 'r', full: true, join: [{ id: 'bob' }], count: 1 } })
  last().frame({ event: 'ask', id: '1' })
  await pass()
  await act(async () => last().drop())
  await pass(200)
  window.dispatchEvent(new Event('pagehide'))
  await pass()
  const names = ['line', 'message', 'gap', 'presence', 'ask', 'drop', 'lost', 'restore', 'hide', 'disconnect']
  expect(journal).toEqual(names.map((name) => `second ${name}`))
  expect(Socket.all).toHaveLength(2)
})

test('a handler replies with what it returns', async () => {
  await render(<Page given={options({ handlers: { ask: ({ payload }) => payload * 2 } })} />)
  await pass()
  last().frame({ event: 'ask', id: '1', payload: 21 })
  await pass()
  expect(JSON.parse(last().told.at(-1)!)).toEqual({ id: '1', event: 'ack', payload: 42 })
})

test('listeners come and go, and have the connection from a context', async () => {
  const write = (name: string) => (payload: unknown) => void journal.push(`${name} ${JSON.stringify(payload)}`)
  const both = async () => {
    last().line('l')
    last().frame({ event: 'move', payload: { x: 1, y: 2 } })
    await pass()
    return journal.splice(0)
  }
  const children = (...all: React.ReactNode[]) => render(<Provider>{all}</Provider>)
  await children(<On key="a" event="line" fn={write('a')} />)
  await pass()
  expect(await both()).toEqual(['a "l"'])
  await children(<On key="a" event="line" fn={write('a')} />, <On key="b" event="line" fn={write('b')} />)
  expect(await both()).toEqual(['a "l"', 'b "l"'])
  await children(<On key="b" event="move" fn={write('b')} />)
  expect(await both()).toEqual(['b {"x":1,"y":2}'])
  await children()
  expect(await both()).toEqual([])
  expect(Socket.all).toHaveLength(1)
})

test('a listener that throws is reported, and the others are called', async () => {
  const fails = (text: string) => () => {
    journal.push(text)
    throw new Error(text)
  }
  await render(
    <Provider given={options({ onMessage: fails('third') })}>
      <On event="line" fn={fails('first')} />
      <On event="line" fn={() => Promise.reject(new Error('second'))} />
      <On event="line" fn={(line) => journal.push(`${line}`)} />
    </Provider>,
  )
  await pass()
  last().line('line')
  await pass()
  expect(journal.toSorted()).toEqual(['first', 'line', 'reported first', 'reported second', 'reported third', 'third'])
})

test('the next frame waits for a listener that takes its time', async () => {
  const slow = async (line: unknown) => {
    await new Promise((resolve) => setTimeout(resolve, 100))
    journal.push(`${line}`)
  }
  await render(
    <Provider>
      <On event="line" fn={slow} />
      <On event="line" fn={(line) => journal.push(`${line}`.toUpperCase())} />
    </Provider>,
  )
  await pass()
  last().line('a')
  last().line('b')
  await pass(50)
  expect(journal).toEqual(['A'])
  await pass(200)
  expect(journal).toEqual(['A', 'a', 'B', 'b'])
})

test('a listener that another one has removed is not called any more', async () => {
  await render(<Page />)
  await pass()
  now.on('line', () => {
    off()
    now.on('line', () => journal.push('late'))
  })
  const off = now.on('line', () => journal.push('removed'))
  last().line('line')
  await pass()
  expect(journal).toEqual([])
})

test('the server renders, and does not dial; the page takes that up', async () => {
  const html = renderToString(<Page />)
  expect([html, renderToString(<Page url={null} />)]).toEqual(['<p>connecting</p>', '<p>closed</p>'])
  await pass()
  expect(Socket.all).toEqual([])
  renders = []
  await act(async () => root.unmount())
  element.innerHTML = html
  root = await act(async () => hydrateRoot(element, <Page />))
  await pass()
  expect(renders).toEqual(['connecting', 'open client'])
  expect(element.textContent).toBe('open')
})

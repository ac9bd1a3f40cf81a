import { type Bye, type Control, type Hello, PROTOCOL, parse, Violation } from './control.js'
import { ConnectionClosedError, RefusedError, report, SendBufferFullError } from './errors.js'
import { type AnyEvents, type Frame, type FrameOf, type Message, sizeOf } from './frame.js'
import { newInbox } from './inbox.js'
import { Ledger, type Loss } from './ledger.js'
import { complete, type Options, type Session, type WebSocketLike } from './options.js'
import { hold, isHidden, newTimer, watchPage } from './page.js'
import { type Member, newRooms, PRESENCE } from './presence.js'
import { newRequests } from './requests.js'

/** A connection to a server that comes back by itself. */
export interface Client<Events = AnyEvents, Sent = Events> extends AsyncIterable<FrameOf<Events>> {
  /** The connectionID that the server knows the client by. It may change with a session. Empty without wspulse.v1. */
  readonly id: string
  /** How many frames `send` has taken that the server's program has not processed yet, as far as is known. */
  readonly pending: number
  /** Whether there is a connection at this moment. `send` works without one, too. */
  readonly connected: boolean
  /** Settles when the client has ended and onDisconnect has run: with the error why, or undefined after `close`. */
  readonly closed: Promise<Error | undefined>

  /**
   * Queues a frame. It is sent when there is a connection, and again if need be. It is encoded at once. Throws a
   * ConnectionClosedError, a SendBufferFullError, the codec's error, or one that says that the frame is too large.
   */
  send(frame: FrameOf<Sent>): void
  /**
   * Sends a frame, and resolves to the reply: the frame with the same id, which is made up where it is missing. It
   * outlives the connection as the session does. Rejects with a ReplyError, a SessionLostError, signal.reason, a
   * TimeoutError after so many ms, or what `send` throws.
   */
  request<Reply = any>(frame: FrameOf<Sent>, options?: Wait): Promise<Frame<string, Reply>>
  /** Asks for another room, by a request "join" with `{room}`: the server's program answers it, with rpc.Rooms say. */
  join(room: string, options?: Wait): Promise<void>
  /** Asks to leave a room, by a request "leave". When it resolves, `presence` knows nothing of the room any more. */
  leave(room: string, options?: Wait): Promise<void>
  /** Who is in a room, sorted by id, as onPresence was told last. undefined: that is not known, or they are counted. */
  presence(room: string): Member[] | undefined
  /** Resolves when nothing is pending. Rejects with a ConnectionClosedError when the client has ended before. */
  drained(): Promise<void>
  /**
   * Sends what may be sent, ends the session and the connection, and never comes back. It resolves when the server has
   * answered, or after 5 s. What has come is still handled, onDisconnect last.
   */
  close(): Promise<void>
  /**
   * Ends the client, and leaves its session to whoever hands it to `connect`, within the server's resume window:
   * this page after a reload, or another one. undefined: there is none.
   */
  exportSession(): Session | undefined
}

/** How long to wait for a reply: without either, as long as it takes. */
export interface Wait {
  signal?: AbortSignal
  /** In ms. */
  timeout?: number
}

type Source<T> = T | (() => T | Promise<T>)

const DIAL_TIME = 5000 // ms for a socket to open and for hello
const SOURCE_TIME = 30_000 // ms for the functions that say where to and with what
const CLOSE_TIME = 5000 // ms for the server's answer
const GOOD_TIME = 5000 // ms of a session, after which the count of attempts begins anew
const PONG_TIME = 3000 // ms
const ACK_TIME = 1000 // ms
const DEAD_AFTER = 2.5 // heartbeats without anything
const FULL_SOCKET = 1 << 20 // bytes that wait in a socket; more waits here
const FULL_SOCKET_TIME = 20 // ms between looks at it
const UNAUTHORIZED = 4401
const NOT_SPOKEN = 'does not speak wspulse.v1 (use protocol: false)'

/**
 * Connects to a server. It resolves when the session is open, and rejects when the server cannot be reached or does not
 * let the client in: with a RefusedError where it has said why. Only a client that has been connected comes back,
 * unless `retryFirst` is set. url may be relative to the page, and be a function, called for each dial.
 */
export async function connect<Events = AnyEvents, Sent = Events>(
  url: Source<string | URL>,
  given: Options<Events, Sent> = {},
): Promise<Client<Events, Sent>> {
  const options = complete(given)
  const { codec, signal, sendBuffer, protocol: v1, onMessage, onPresence, handlers = {}, session } = options
  const ledger = new Ledger()
  const rooms = newRooms()
  const requests = newRequests(options.replyEvents)
  const inbox = newInbox(() => acknowledge())
  const opened = later<void>()
  const over = later<void>() // there will be no more connections
  const closed = later<Error | undefined>()
  const drains = new Set<() => void>() // who waits until nothing is pending

  let greeted = false // there has been a connection
  let failures = 0 // attempts, without a good session between them
  let hurried = false // one of them was made at once
  let ending = false // nothing is taken in any more
  let ended = false

  // Of the transport.
  let dials = 0 // what an earlier one finds out is ignored
  let socket: WebSocketLike | undefined
  let ready = false // hello has come
  let bye: Bye | undefined // that has come
  let openedAt = 0 // when hello came
  let heard = 0 // when something has come last
  let heartbeat = 0
  let paused = false // waits to dial: only for a moment, or for somebody who looks
  const dialTimer = newTimer() // the time that a dial has, or the wait before it
  const beatTimer = newTimer() // for something to come
  const pongTimer = newTimer()
  const ackTimer = newTimer() // for more to acknowledge
  const fullTimer = newTimer() // for room in the socket

  // What the program calls.

  const client: Client<Events, Sent> = {
    get id() {
      return ledger.hello.id
    },
    get pending() {
      return ledger.pending
    },
    get connected() {
      return ready
    },
    closed: closed.promise,
    send: (frame) => queue(codec.encode(frame)),
    request: (frame, wait) => ask(frame, wait),
    async join(room, wait) {
      await ask({ event: 'join', payload: { room } }, wait)
    },
    async leave(room, wait) {
      await ask({ event: 'leave', payload: { room } }, wait, () => {
        rooms.leave(room)
        inbox.add(() => rooms.forget(room)) // what waits is from before
      })
    },
    presence: (room) => rooms.members(room),
    drained: () =>
      new Promise((resolve, reject) => {
        drains.add(() => (ledger.pending ? reject(new ConnectionClosedError()) : resolve()))
        settle()
      }),
    async close() {
      if (ready && !ending) {
        handOver(true)
        ending = true
        if (v1) say({ t: 'bye' })
        socket!.close(1000) // what has come still counts, until the server has answered
        dialTimer.set(CLOSE_TIME, () => end())
      }
      if (!ready) end()
      await over.promise
    },
    exportSession() {
      const { hello, broken, received, acked, kept, waiting } = ledger
      const { id, token } = hello
      if (ending || !token || broken) return
      const session = { id, token, received, acked, kept, waiting, inbox: inbox.unload() }
      end() // without a bye: the session waits
      return session
    },
    async *[Symbol.asyncIterator]() {
      for (let frame = await inbox.pull(); frame; frame = await inbox.pull()) yield frame as FrameOf<Events>
    },
  }

  function queue(message: Message) {
    if (ending) throw new ConnectionClosedError()
    ledger.check(message)
    if (ledger.waiting.length >= sendBuffer) throw new SendBufferFullError(sendBuffer)
    ledger.waiting.push(message)
    handOver()
  }

  /** then runs when a reply has come that is no failure, also when nobody waits for that any more. */
  async function ask(frame: Frame, { signal, timeout }: Wait = {}, then?: () => void): Promise<Frame> {
    const made = requests.nextID()
    const id = frame.id || made
    const message = codec.encode({ ...frame, id })
    const { promise, resolve, reject } = later<Frame>()
    signal?.throwIfAborted()
    const remove = requests.add(id, { message, then, resolve, reject })
    let waits = true
    const stop = (reason: unknown) => {
      waits = false
      reject(reason)
    }
    const abort = () => stop(signal!.reason)
    const timer = newTimer()
    if (timeout !== undefined) timer.set(timeout, () => stop(new DOMException('wspulse: no reply', 'TimeoutError')))
    signal?.addEventListener('abort', abort)
    try {
      queue(message)
      return await promise
    } finally {
      timer.stop()
      signal?.removeEventListener('abort', abort)
      if (!then || waits) remove()
    }
  }

  /** Lets go those that wait until nothing is pending. */
  function settle() {
    if (ledger.pending && !ended) return
    for (const done of drains) done()
    drains.clear()
  }

  // What the page does.

  /** It goes away for good, and says so; or it is kept, and waits, as long as that takes, without a connection. */
  function leavePage({ persisted }: PageTransitionEvent) {
    if (persisted) return ready && drop(new Error('wspulse: the connection is lost'))
    try {
      options.onPageHide?.(client)
    } finally {
      client.close()
    }
  }

  /** The network is back, maybe, or somebody looks. */
  function wake() {
    if (ready) probe()
    else if (paused) dialWhenSeen()
  }

  function dialWhenSeen() {
    if (options.background || !isHidden()) dial()
  }

  // How a connection begins.

  async function dial() {
    const attempt = ++dials
    paused = false
    dialTimer.set(SOURCE_TIME, () => drop(new Error('wspulse: url or protocols took over 30 s')))
    try {
      const [to, others] = await Promise.all([evaluate(url), evaluate(options.protocols ?? [])])
      if (attempt !== dials) return
      const target = new URL(to, globalThis.location?.href).href.replace(/^http/, 'ws')
      const s = new options.WebSocket(target, v1 ? [...ledger.offer(), ...others] : others)
      s.binaryType = 'arraybuffer'
      socket = s
      dialTimer.set(DIAL_TIME, () => drop(new Error(`wspulse: no answer from ${to} in 5 s`)))
      const on =
        <Event>(fn: (event: Event) => void) =>
        (event: Event) => {
          if (s === socket) fn(event)
        }
      s.onopen = on(() => {
        if (!v1) {
          inbox.add(() => rooms.forgetAll()) // it may be another session
          begin(0)
        } else if (s.protocol !== PROTOCOL) end(new Error(`wspulse: the server at ${to} ${NOT_SPOKEN}`))
      })
      s.onmessage = on(({ data }) => receive(data))
      s.onerror = () => {} // onclose follows
      s.onclose = on(({ code, reason }) => {
        if (ending && code === 1000 && !bye) ledger.acknowledged(ledger.sent)
        // A page learns no more of a connection that has failed.
        if (code !== 1006) drop(refusal(code, reason))
        else if (ready) drop(new Error('wspulse: the connection is lost'))
        else drop(new Error(`wspulse: the server at ${to} can't be reached, refuses (see its log), or ${NOT_SPOKEN}`))
      })
    } catch (error) {
      if (attempt === dials) drop(error as Error)
    }
  }

  function greet(hello: Hello) {
    const loss = ledger.greet(hello)
    if (loss) requests.lose(loss.reason, loss.unprocessed, ledger.waiting)
    begin(hello.heartbeat, loss)
  }

  /** Messages go both ways from here on. */
  function begin(beats: number, loss?: Loss) {
    dialTimer.stop()
    ready = true
    openedAt = heard = Date.now()
    heartbeat = options.heartbeat ?? beats
    acknowledge(true)
    handOver()
    beat(false)
    if (loss) tellLost(loss)
    if (greeted) return inbox.add(() => options.onRestore?.(client))
    greeted = true
    opened.resolve()
    setTimeout(() => inbox.start()) // when the caller has the client
  }

  // What the server says.

  function receive(data: string | ArrayBuffer) {
    heard = Date.now()
    try {
      if (v1 && (typeof data === 'string') === codec.binary) hear(parse(data))
      else if (ready) {
        const size = sizeOf(data)
        count(1, size) // first: what runs now may export the session
        take(data, size)
      } else throw new Violation('protocol', 'a message before hello')
    } catch (error) {
      if (!(error instanceof Violation)) throw error
      if (error.why === 'count') {
        ledger.broken = true
        if (ready && !ending) say({ t: 'bye' })
      }
      drop(error, false, 4400, error.why)
    }
  }

  function hear(m: Control) {
    if (m.t === 'bye') bye = m
    else if (m.t === 'hello' && !ready) greet(m)
    else if (m.t === 'hello' || !ready) throw new Violation('protocol', m.t)
    else if (m.at !== ledger.received) throw new Violation('count', `at ${m.at}, ${ledger.received} have come`)
    else if (m.t === 'ack') {
      ledger.acknowledged(m.n)
      handOver()
    } else if (m.t === 'gap') {
      count(m.n, 0)
      tellGap(m.n)
    } else if (m.t === 'pong') pongTimer.stop()
  }

  /** Gives a message to the request that waits for it, or has it wait for its turn. */
  function take(raw: string | ArrayBuffer, size: number) {
    let frame: Frame
    try {
      frame = codec.decode(raw)
    } catch (cause) {
      return report(new Error('wspulse: a message is no frame: dropped', { cause }))
    }
    if (requests.take(frame)) return
    const { event = '' } = frame
    const add = (run: () => unknown) => inbox.add(run, raw, size)
    if (onPresence && event === PRESENCE)
      add(() => {
        const news = rooms.take(frame.payload)
        return news && onPresence(news, client)
      })
    else if (Object.hasOwn(handlers, event))
      add(async () => {
        const reply = await requests.reply(frame, () => handlers[event]!(frame, client), codec)
        if (frame.id) queue(reply)
      })
    else if (onMessage) add(() => onMessage(frame as FrameOf<Events>, client))
    else inbox.hold(frame, raw, size)
  }

  function tellGap(n: number) {
    inbox.add(() => options.onGap?.(n, client), n)
  }

  function tellLost(loss: Loss) {
    inbox.add(() => {
      rooms.forgetAll()
      return options.onSessionLost?.({ ...loss, unprocessed: loss.unprocessed.map((m) => codec.decode(m)) }, client)
    }, loss)
  }

  /** Counts messages of the server, and sees to it that they are acknowledged. */
  function count(messages: number, size: number) {
    if (ledger.receive(messages, size, inbox.isFull())) acknowledge()
    else if (ledger.keeps && !inbox.isFull() && !ackTimer.runs()) ackTimer.set(ACK_TIME, () => acknowledge())
  }

  // What the client says.

  /** Acknowledges what has come, if there is room for more. */
  function acknowledge(always = false) {
    ackTimer.stop()
    if (!inbox.isFull()) ledger.due = ledger.received
    if (ready && !ending && ledger.keeps && (always || ledger.due > ledger.told)) say({ t: 'ack', n: ledger.ack() })
  }

  /** Sends what may be sent; all: also what the socket has no room for. */
  function handOver(all = false) {
    while (ready && !ending) {
      if (!all && socket!.bufferedAmount > FULL_SOCKET) return fullTimer.set(FULL_SOCKET_TIME, () => handOver())
      const message = ledger.next()
      if (message === undefined) break
      socket!.send(message)
    }
    settle()
  }

  /** Sends a control message, with the opcode that the codec does not use. */
  function say(m: { t: 'ack' | 'ping' | 'bye'; n?: number }) {
    const text = JSON.stringify({ ...m, at: ledger.sent })
    socket!.send(codec.binary ? text : new TextEncoder().encode(text))
  }

  /** Looks whether the server is there. */
  function probe() {
    if (pongTimer.runs() || !v1 || ending) return
    const wait = (slept: boolean) => {
      const since = Date.now()
      pongTimer.set(PONG_TIME, (late) => {
        if (heard > since || (late && !slept)) wait(late)
        else drop(new Error('wspulse: no answer in 3 s'), true)
      })
    }
    wait(false)
    say({ t: 'ping' })
  }

  /** Gives the connection up when nothing has come for too long. A page that has slept asks first. */
  function beat(late: boolean) {
    const most = DEAD_AFTER * heartbeat
    const left = most + (heard = Math.min(heard, Date.now())) - Date.now() // the clock may have been set back
    if (!most) return
    if (left <= 0 && !late) return drop(new Error(`wspulse: no sign of life in ${most} ms`))
    if (left <= 0) probe()
    beatTimer.set(left > 0 ? left : most, beat)
  }

  // How a connection ends.

  function refusal(code: number, text: string) {
    const { reason = text, reconnect = true, after } = bye ?? {}
    return new RefusedError(reason, code, reconnect, after)
  }

  /** Nothing counts any more that this transport says. */
  function giveUp(code?: number, reason?: string) {
    const s = socket
    dials++
    socket = bye = undefined
    ready = paused = false
    for (const timer of [dialTimer, beatTimer, pongTimer, ackTimer, fullTimer]) timer.stop()
    s?.close(code, reason)
  }

  /** The transport has ended, or there was none. */
  function drop(why: Error, atOnce = false, code?: number, text?: string) {
    const error: Error & Partial<RefusedError> = bye && !(why instanceof RefusedError) ? refusal(0, '') : why
    const lost = ready
    if (ready && Date.now() - openedAt >= GOOD_TIME) {
      failures = 0
      hurried = false
    }
    giveUp(code, text)
    if (ending) return end()
    const unauthorized = error.code === UNAUTHORIZED || error.reason === 'unauthorized'
    const hurry = unauthorized && !hurried
    const once = !options.retryFirst || (unauthorized && hurried) // what the first dial is tried
    if (error.reconnect === false || (!greeted && once) || failures >= options.retries) return end(error)
    hurried ||= hurry
    const [least, most] = error.after ?? between(options, failures)
    failures++
    paused = true
    dialTimer.set(atOnce || hurry ? 0 : least + Math.random() * (most - least), dialWhenSeen)
    if (lost || (greeted && unauthorized)) inbox.add(() => options.onDrop?.(error, client)) // which may end the client
  }

  function end(error?: Error) {
    if (ended) return
    giveUp()
    ending = ended = true
    unwatch()
    requests.end(new ConnectionClosedError())
    if (error && greeted && ledger.pending)
      tellLost({
        reason: (error as Partial<RefusedError>).reason ?? 'network',
        unprocessed: [...ledger.kept, ...ledger.waiting],
      })
    settle()
    over.resolve()
    opened.reject(error ?? new ConnectionClosedError())
    inbox.add(() => {
      rooms.forgetAll()
      return options.onDisconnect?.(error, client)
    })
    inbox.add(() => {
      inbox.end()
      closed.resolve(error)
    })
  }

  if (session) {
    if (await hold(`wspulse ${session.token}`, over.promise)) {
      ledger.adopt(session)
      for (const raw of session.inbox)
        if (typeof raw === 'number') tellGap(raw)
        else if ((raw as Loss).reason) tellLost(raw as Loss)
        else take(raw as string, sizeOf(raw as string))
    } else tellLost({ reason: 'conflict', unprocessed: [] }) // another tab has it
  }
  const stop = () => (greeted ? client.close() : end(signal!.reason))
  const unwatch = watchPage(wake, leavePage, stop, signal)
  if (signal?.aborted) stop()
  else dial()
  await opened.promise
  return client
}

const evaluate = <T>(source: Source<T>) => (typeof source === 'function' ? (source as () => T | Promise<T>)() : source)

/** The bounds of the wait before an attempt. */
const between = ({ base, cap, jitter }: { base: number; cap: number; jitter: number }, failures: number) => {
  const most = Math.min(cap, base * 2 ** failures)
  return [most * (1 - jitter), most] as const
}

/** A promise that others settle. */
function later<T>() {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((...both) => ([resolve, reject] = both))
  return { promise, resolve, reject }
}

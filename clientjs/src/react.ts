import { type AnyEvents, type Client, connect, type Frame, type Options } from '@wspulse/client'
import { useEffect, useInsertionEffect, useRef, useState, useSyncExternalStore } from 'react'
import { report } from './errors.js'

/** How it stands with a connection. It is another object when something of it has changed, but for `on`. */
export interface Connection<Events = AnyEvents, Sent = Events> {
  /** undefined until the connection is open for the first time. */
  readonly client: Client<Events, Sent> | undefined
  /** "connecting": for the first time; on the server, too. "closed": for good, or there is no url. */
  readonly state: 'connecting' | 'open' | 'reconnecting' | 'closed'
  /** Why it is reconnecting, or closed; undefined after `close`. */
  readonly error: Error | undefined
  /** Has a function called as useEvent does, and returns what ends that. It is always the same. */
  readonly on: On<Events>
}

type On<Events> = <E extends keyof Events & string>(event: E, fn: Listener<Events, E>) => () => void

/** Gets the payload of a frame, and the frame. Where it returns a promise, the next frame waits for it. */
export type Listener<Events, E extends keyof Events & string> = (
  payload: Events[E],
  frame: Frame<E, Events[E]>,
) => unknown

/**
 * Keeps a connection for as long as the component is mounted, or another one when url is another one; null: none. The
 * component renders when the state changes, and for no message: useEvent is for these. It does not dial on the server.
 *
 * The options are those of `connect`, as they are when the connection is made, but the latest callbacks are called. The
 * first dial is tried again unless `retryFirst` is false. A `session` is taken once. A connection that is let go is
 * closed; of its callbacks only onSessionLost and onDisconnect are called then.
 */
export function useWspulse<Events = AnyEvents, Sent = Events>(
  url: string | null,
  options: Options<Events, Sent> = {},
): Connection<Events, Sent> {
  const latest = useLatest(options)
  const [store] = useState(() => newStore(latest))
  const snapshot = () => store.snapshot(url)
  useEffect(() => (url === null ? undefined : store.open(url)), [store, url])
  return useSyncExternalStore(store.subscribe, snapshot, snapshot)
}

/**
 * Calls a function with the payload of each frame of an event, while the component is mounted: the function of the last
 * render. It renders nothing by itself. It comes before onMessage. What it throws is reported.
 */
export function useEvent<Events, Sent, E extends keyof Events & string>(
  connection: Connection<Events, Sent>,
  event: E,
  fn: Listener<Events, E>,
): void {
  const latest = useLatest(fn)
  const { on } = connection
  useEffect(() => on(event, (payload, frame) => latest()(payload, frame)), [on, event, latest])
}

/** Returns a function, always the same, that returns the value of the last render. */
function useLatest<T>(value: T): () => T {
  const ref = useRef(value)
  useInsertionEffect(() => {
    ref.current = value
  })
  return useState(() => () => ref.current)[0]
}

/** Runs a callback, and reports what it throws. */
async function attempt(callback: () => unknown) {
  try {
    await callback()
  } catch (error) {
    report(error)
  }
}

/** What a component keeps: its connection of the moment, and the listeners, for all its connections. */
function newStore<Events, Sent>(latest: () => Options<Events, Sent>) {
  type State = Connection<Events, Sent>
  const renders = new Set<() => void>()
  const listeners = new Set<{ event: string; fn: (payload: any, frame: any) => unknown }>()
  const on: State['on'] = (event, fn) => {
    const listener = { event, fn }
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }
  const closed: State = { client: undefined, state: 'closed', error: undefined, on }
  const connecting: State = { ...closed, state: 'connecting' }
  let live: { url: string; state: State } | undefined
  let taken: string | undefined // the token of the session that was handed in

  /** The options of a connection, which calls back for as long as it is the live one. */
  function optionsOf(is: () => boolean, tell: (change: Partial<State>) => void, end: AbortSignal) {
    const { session, handlers = {}, onPresence, ...given } = latest()
    const options: Options<Events, Sent> = {
      ...given,
      retryFirst: given.retryFirst ?? true,
      signal: AbortSignal.any([end, given.signal].filter((s) => !!s)),
      async onMessage(frame, client) {
        const listening = [...listeners].filter(({ event }) => event === frame.event)
        const calls = listening.map((l) => attempt(() => is() && listeners.has(l) && l.fn(frame.payload, frame)))
        await Promise.all([...calls, attempt(() => is() && latest().onMessage?.(frame, client))])
      },
      onGap: (n, client) => (is() ? latest().onGap?.(n, client) : undefined),
      onDrop(error, client) {
        tell({ state: 'reconnecting', error })
        return is() ? latest().onDrop?.(error, client) : undefined
      },
      onRestore(client) {
        tell({ state: 'open', error: undefined })
        return is() ? latest().onRestore?.(client) : undefined
      },
      onSessionLost: (lost, client) => latest().onSessionLost?.(lost, client),
      onDisconnect(error, client) {
        tell({ state: 'closed', error })
        return latest().onDisconnect?.(error, client)
      },
      onPageHide: (client) => latest().onPageHide?.(client),
      handlers: Object.fromEntries(
        Object.entries(handlers).map(([event, first]) => [
          event,
          (frame, client) => is() && (latest().handlers?.[event] ?? first)(frame, client),
        ]),
      ),
    }
    if (onPresence) options.onPresence = (news, client) => (is() ? latest().onPresence?.(news, client) : undefined)
    if (session && session.token !== taken) {
      options.session = session
      taken = session.token
    }
    return options
  }

  return {
    snapshot: (url: string | null) => (url === null ? closed : live?.url === url ? live.state : connecting),

    subscribe(render: () => void) {
      renders.add(render)
      return () => void renders.delete(render)
    },

    /** Makes the live connection, and returns what closes it. */
    open(url: string) {
      const mine = { url, state: connecting }
      const end = new AbortController()
      const is = () => live === mine
      const tell = (change: Partial<State>) => {
        mine.state = { ...mine.state, ...change }
        for (const render of renders) render()
      }
      live = mine
      Promise.resolve() // StrictMode has it closed before
        .then(() => (end.signal.aborted ? undefined : connect(url, optionsOf(is, tell, end.signal))))
        .then(
          (client) => tell({ client, state: 'open' }),
          (error) => tell({ state: 'closed', error }),
        )
      return () => {
        if (is()) live = undefined
        end.abort()
      }
    },
  }
}

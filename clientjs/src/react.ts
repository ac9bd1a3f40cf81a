import { type AnyEvents, type Client, connect, type FrameOf, type Options } from '@wspulse/client'
import { useEffect, useRef, useState, useSyncExternalStore } from 'react'

/** How it stands with a connection: `client` is undefined until it is open for the first time. */
export interface Connection<Events = AnyEvents, Sent = Events> {
  readonly client: Client<Events, Sent> | undefined
  readonly state: 'connecting' | 'open' | 'reconnecting' | 'closed'
  /** Why it is not open; undefined while it is, or after `close`. */
  readonly error: Error | undefined
  /** Has a function called with the payload of each frame of an event, and returns what ends that. */
  on<E extends keyof Events & string>(event: E, fn: (payload: Events[E], frame: FrameOf<Events>) => void): () => void
}

/**
 * Keeps a connection for as long as the component is mounted, or another one when url is another one; null: none. Only a
 * change of its state renders the component, and no message: useEvent is for these. The options are those of `connect`,
 * as they are when the connection is made; the latest callbacks are called. The first dial is tried again, unless
 * `retryFirst` is false.
 */
export function useWspulse<Events = AnyEvents, Sent = Events>(
  url: string | null,
  options: Options<Events, Sent> = {},
): Connection<Events, Sent> {
  const latest = useRef(options)
  useEffect(() => {
    latest.current = options
  })
  const [store] = useState(() => newStore<Events, Sent>(() => latest.current))
  useEffect(() => (url === null ? undefined : store.connect(url)), [store, url])
  return useSyncExternalStore(store.subscribe, store.snapshot, store.snapshot)
}

/** Calls a function with the payload of each frame of an event, while the component is mounted. It renders nothing. */
export function useEvent<Events, Sent, E extends keyof Events & string>(
  connection: Connection<Events, Sent>,
  event: E,
  fn: (payload: Events[E], frame: FrameOf<Events>) => void,
) {
  const latest = useRef(fn)
  useEffect(() => {
    latest.current = fn
  })
  const { on } = connection
  useEffect(() => on(event, (payload, frame) => latest.current(payload, frame)), [on, event])
}

function newStore<Events, Sent>(options: () => Options<Events, Sent>) {
  const renders = new Set<() => void>()
  const handlers = new Map<string, Set<(payload: any, frame: FrameOf<Events>) => void>>()
  const on: Connection<Events, Sent>['on'] = (event, fn) => {
    const set = handlers.get(event) ?? new Set()
    handlers.set(event, set.add(fn))
    return () => set.delete(fn)
  }
  let now: Connection<Events, Sent> = { client: undefined, state: 'closed', error: undefined, on }
  const become = (change: Partial<Connection<Events, Sent>>) => {
    now = { ...now, ...change }
    for (const render of renders) render()
  }

  return {
    snapshot: () => now,
    subscribe(render: () => void) {
      renders.add(render)
      return () => renders.delete(render)
    },
    connect(url: string) {
      const end = new AbortController()
      let mine = true
      const tell = (change: Partial<Connection<Events, Sent>>) => mine && become(change)
      tell({ client: undefined, state: 'connecting', error: undefined })
      connect<Events, Sent>(url, {
        retryFirst: true,
        ...options(),
        onMessage(frame, client) {
          for (const fn of handlers.get(frame.event) ?? []) fn(frame.payload, frame)
          return options().onMessage?.(frame, client)
        },
        onDrop(error, client) {
          tell({ state: 'reconnecting', error })
          return options().onDrop?.(error, client)
        },
        onRestore(client) {
          tell({ state: 'open', error: undefined })
          return options().onRestore?.(client)
        },
        onDisconnect(error, client) {
          tell({ state: 'closed', error })
          return options().onDisconnect?.(error, client)
        },
        signal: end.signal,
      }).then(
        (client) => tell({ client, state: 'open' }),
        (error) => tell({ state: 'closed', error }),
      )
      return () => {
        mine = false
        end.abort()
        become({ client: undefined, state: 'closed', error: undefined })
      }
    },
  }
}

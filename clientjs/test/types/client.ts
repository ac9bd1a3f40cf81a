// What a program of a page compiles to, and what it must not compile to. It is not run.
import {
  type Client,
  type Codec,
  ConnectionClosedError,
  connect,
  type Frame,
  type FrameOf,
  jsonCodec,
  type Lost,
  type Member,
  type Options,
  type Presence,
  RefusedError,
  ReplyError,
  SendBufferFullError,
  type Session,
  SessionLostError,
} from '@wspulse/client'

/** Compiles where both types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(_: Same<A, B>) => {}

type Events = { say: string; move: { x: number; y: number }; bye: undefined }

// Events have types.
const client = await connect<Events>('/ws?room=lobby')
same<typeof client, Client<Events>>(true)
client.send({ event: 'say', payload: 'hello' })
client.send({ event: 'move', payload: { x: 1, y: 2 }, id: '7' })
client.send({ event: 'bye' })
// @ts-expect-error: the payload of another event
client.send({ event: 'say', payload: { x: 1, y: 2 } })
// @ts-expect-error: half a payload
client.send({ event: 'move', payload: { x: 1 } })
// @ts-expect-error: there is no such event
client.send({ event: 'shout', payload: 'hello' })
// @ts-expect-error: no event
client.send({ payload: 'hello' })
// @ts-expect-error: frames have no such field
client.send({ event: 'say', payload: 'hello', room: 'lobby' })

for await (const frame of client) {
  same<typeof frame, FrameOf<Events>>(true)
  if (frame.event === 'move') same<typeof frame.payload, { x: number; y: number } | undefined>(true)
  // @ts-expect-error: there is no such event
  if (frame.event === 'shout') break
}

// What is received may be other than what is sent.
const both = await connect<{ news: number }, { ask: string }>('/ws', {
  onMessage: (frame, { send }) => {
    same<typeof frame.payload, number | undefined>(true)
    send({ event: 'ask', payload: 'what' })
    // @ts-expect-error: that is received
    send({ event: 'news', payload: 1 })
  },
})
both.send({ event: 'ask', payload: 'what' })
// @ts-expect-error: that is received
both.send({ event: 'news', payload: 1 })

// Interfaces, enumerations of events and optional ones are maps, too.
interface Interface {
  say: string
}
;(await connect<Interface>('/ws')).send({ event: 'say', payload: 'hello' })

// Without types anything goes, but a frame remains a frame.
const loose = await connect('/ws')
loose.send({ event: 'anything', payload: { at: ['all'] } })
// @ts-expect-error: an event is a string
loose.send({ event: 7 })

// Requests and their replies.
const reply = await client.request<{ lines: string[] }>({ event: 'say', payload: 'history' }, { timeout: 5000 })
same<typeof reply, Frame<string, { lines: string[] }>>(true)
const lines: string[] | undefined = reply.payload?.lines
// @ts-expect-error: the reply has lines
reply.payload?.words
// @ts-expect-error: the payload of another event
client.request({ event: 'say', payload: 1 })
// @ts-expect-error: in ms
client.request({ event: 'say' }, { timeout: '5 s' })
client.request({ event: 'say' }, { signal: AbortSignal.timeout(1000) })
await client.join('lobby', { timeout: 1000 })
await client.leave('lobby')

// What else a client has.
same<typeof client.closed, Promise<Error | undefined>>(true)
same<ReturnType<typeof client.presence>, Member[] | undefined>(true)
same<ReturnType<typeof client.exportSession>, Session | undefined>(true)
const known: [string, number, boolean] = [client.id, client.pending, client.connected]
// @ts-expect-error: that is the client's to change
client.id = 'ann'
await client.drained()
await client.close()

// Options.
await connect('/ws', {
  protocols: async () => ['app.v1', `bearer.${known[0]}`],
  onGap: (n) => console.log(n.toFixed()),
  onDrop: async (error) => console.log(error instanceof RefusedError && error.after?.[1].toFixed()),
  onRestore: (client) => client.send({ event: 'back' }),
  onSessionLost: (lost: Lost, client) => {
    for (const frame of lost.unprocessed) client.send({ event: 'again', ...frame })
  },
  onPresence: (presence: Presence) => console.log(presence.members.map((m) => m.user ?? m.id)),
  onDisconnect: (error) => console.log(error?.message ?? 'closed'),
  handlers: { add: ({ payload }) => payload.a + payload.b, wait: async () => 'done' },
  onPageHide: (client) => sessionStorage.setItem('session', JSON.stringify(client.exportSession())),
  signal: new AbortController().signal,
  session: JSON.parse('null') ?? undefined,
  replyEvents: ['ack', 'error'],
  codec: jsonCodec,
  WebSocket,
})
const url = async () => new URL('ws://127.0.0.1/ws')
await connect(url, { protocols: ['app.v1'], retries: 3, base: 1, cap: 2, jitter: 0, heartbeat: 1, sendBuffer: 1 })
// @ts-expect-error: a number
await connect('/ws', { retries: '3' })
// @ts-expect-error: no such option
await connect('/ws', { onMesage() {} })
// @ts-expect-error: two events
await connect('/ws', { replyEvents: ['ack'] })
// @ts-expect-error: no constructor
await connect('/ws', { WebSocket: () => new WebSocket('/ws') })
// @ts-expect-error: no url
await connect()

// A program's own options and codec.
const options: Options<Events> = { onMessage: (frame) => console.log(frame.event.length) }
await connect('/ws', options)
export const codec: Codec = {
  binary: true,
  encode: (frame) => new TextEncoder().encode(JSON.stringify(frame)),
  decode: (data) => JSON.parse(new TextDecoder().decode(data as ArrayBuffer)),
}

// Errors say what they are.
export function explain(error: unknown): string {
  if (error instanceof RefusedError) return `${error.reason} ${error.code.toFixed()} ${error.reconnect === true}`
  if (error instanceof ReplyError) return `${error.code}: ${error.message}`
  if (error instanceof SessionLostError) return error.unprocessed ? 'again' : error.reason
  if (error instanceof SendBufferFullError || error instanceof ConnectionClosedError) return error.name
  return lines?.join() ?? ''
}

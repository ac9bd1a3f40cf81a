// What a program with React compiles to, and what it must not compile to. It is not run.

import type { Client } from '@wspulse/client'
import { type Connection, useEvent, useWspulse } from '@wspulse/client/react'
import { useState } from 'react'

type Events = { say: string; move: { x: number; y: number } }

export function Lines({ room }: { room: string | null }) {
  const connection = useWspulse<Events>(room && `/ws?room=${room}`, {
    onMessage: (frame, client) => client.send(frame),
    onDisconnect: (error) => console.log(error?.message),
    retryFirst: false,
  })
  const [lines, setLines] = useState<string[]>([])
  useEvent(connection, 'say', (text) => setLines((lines) => [...lines, text]))
  useEvent(connection, 'say', async (text, frame) =>
    console.log(text.length, frame.payload?.length, frame.event === 'say'),
  )
  useEvent(connection, 'move', ({ x, y }) => x + y)
  // @ts-expect-error: there is no such event
  useEvent(connection, 'shout', () => {})
  // @ts-expect-error: the payload of another event
  useEvent(connection, 'move', (text: string) => setLines([text]))
  // @ts-expect-error: a frame has one event
  useEvent(connection, 'say', (_, frame) => frame.event === 'move')
  const off: () => void = connection.on('move', ({ x }) => console.log(x))
  const client: Client<Events> | undefined = connection.client
  // @ts-expect-error: there may be no client yet
  const send = () => connection.client.send({ event: 'say', payload: '' })
  // @ts-expect-error: the payload of another event
  const wrong = () => client?.send({ event: 'say', payload: 1 })
  // @ts-expect-error: there is no such state
  if (connection.state === 'lost') off()
  return (
    <button type="submit" onClick={() => client?.send({ event: 'say', payload: lines.join() })}>
      {connection.error?.message ?? [connection.state === 'open', send, wrong].length}
    </button>
  )
}

/** A component that is given a connection, of any program. */
export function State<Received, Sent>({ connection }: { connection: Connection<Received, Sent> }) {
  return <p>{connection.state}</p>
}

export function App() {
  const typed = useWspulse<Events, { ask: string }>('/ws')
  const loose = useWspulse('/ws')
  typed.client?.send({ event: 'ask', payload: 'what' })
  useEvent(typed, 'say', (text) => console.log(text.length))
  useEvent(loose, 'anything', (payload) => console.log(payload.any.thing))
  // @ts-expect-error: a url is a string
  useWspulse(new URL('ws://127.0.0.1/ws'))
  // @ts-expect-error: no such option
  useWspulse('/ws', { onMesage() {} })
  return (
    <>
      <State connection={typed} />
      <State connection={loose} />
    </>
  )
}

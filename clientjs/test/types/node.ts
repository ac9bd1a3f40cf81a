// What a program of Node compiles to, without the types of pages. It is not run.
import { connect, type WebSocketLike } from '@wspulse/client'
import { WebSocket as Undici } from 'undici'
import WebSocket from 'ws'

for (const Socket of [WebSocket, Undici]) {
  const client = await connect('ws://127.0.0.1/ws', { WebSocket: Socket, signal: AbortSignal.timeout(1000) })
  await client.close()
}
// @ts-expect-error: no socket
await connect('ws://127.0.0.1/ws', { WebSocket: class {} })
export const socket: WebSocketLike = new WebSocket('ws://127.0.0.1/ws')

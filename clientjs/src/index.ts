export { type Client, connect, type Wait } from './client.js'
export {
  ConnectionClosedError,
  RefusedError,
  ReplyError,
  SendBufferFullError,
  SessionLostError,
} from './errors.js'
export { type AnyEvents, type Codec, type Frame, type FrameOf, jsonCodec } from './frame.js'
export type { Lost, Options, Session, WebSocketLike } from './options.js'
export type { Member, Presence } from './presence.js'

/** A frame is the unit that servers and clients exchange: one WebSocket message. */
export interface Frame<Event extends string = string, Payload = any> {
  /** Names a request; its reply has the same. Otherwise it means what the program wants it to mean. */
  id?: string
  event?: Event
  payload?: Payload
}

/** The frame of each event of a map from events to payloads, such as `{ move: { x: number; y: number } }`. */
export type FrameOf<Events> = {
  [Event in keyof Events & string]: Frame<Event, Events[Event]> & { event: Event }
}[keyof Events & string]

/** What is not typed: any event, any payload. */
export type AnyEvents = Record<string, any>

/** Turns frames into WebSocket messages and back. It must do as the server's does. */
export interface Codec {
  /** Whether its messages are binary. They are text otherwise. */
  binary: boolean
  encode(frame: Frame): string | Uint8Array<ArrayBuffer>
  /** Throws for what is no frame: such a message is reported and dropped. */
  decode(data: Message | ArrayBuffer): Frame
}

/** The server's default codec: `{"id":"…","event":"…","payload":…}` as text. */
export const jsonCodec: Codec = {
  binary: false,
  encode: JSON.stringify,
  decode(data) {
    const frame = JSON.parse(data as string)
    if (Object(frame) !== frame || Array.isArray(frame)) throw new Error('no object')
    return frame
  },
}

/** A message is a frame that has been encoded. */
export type Message = string | Uint8Array<ArrayBuffer>

const utf8 = new TextEncoder()

/** The size of a message on the wire, in bytes. */
export const sizeOf = (message: string | ArrayBuffer | ArrayBufferView) =>
  typeof message === 'string' ? utf8.encode(message).length : message.byteLength

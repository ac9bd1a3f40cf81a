/** A frame is the unit that servers and clients exchange: one WebSocket message. */
export interface Frame<Event extends string = string, Payload = any> {
    /** Names a request; its reply has the same. Otherwise it means what the program wants it to mean. */
    id?: string;
    event?: Event;
    payload?: Payload;
}
/** The frame of each event of a map from events to payloads, such as `{ move: { x: number; y: number } }`. */
export type FrameOf<Events> = {
    [Event in keyof Events & string]: Frame<Event, Events[Event]> & {
        event: Event;
    };
}[keyof Events & string];
/** What is not typed: any event, any payload. */
export type AnyEvents = Record<string, any>;
/** Turns frames into WebSocket messages and back. It must do as the server's does. */
export interface Codec {
    /** Whether its messages are binary. They are text otherwise. */
    binary: boolean;
    encode(frame: Frame): string | Uint8Array<ArrayBuffer>;
    /** Throws for what is no frame: such a message is reported and dropped. */
    decode(data: Message | ArrayBuffer): Frame;
}
/** The server's default codec: `{"id":"…","event":"…","payload":…}` as text. */
export declare const jsonCodec: Codec;
/** A message is a frame that has been encoded. */
export type Message = string | Uint8Array<ArrayBuffer>;
/** The size of a message on the wire, in bytes. */
export declare const sizeOf: (message: string | ArrayBuffer | ArrayBufferView) => number;

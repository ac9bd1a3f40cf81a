import { type AnyEvents, type Frame, type FrameOf } from './frame.js';
import { type Options, type Session } from './options.js';
import { type Member } from './presence.js';
/** A connection to a server that comes back by itself. */
export interface Client<Events = AnyEvents, Sent = Events> extends AsyncIterable<FrameOf<Events>> {
    /** The connectionID that the server knows the client by. It may change with a session. Empty without wspulse.v1. */
    readonly id: string;
    /** How many frames `send` has taken that the server's program has not processed yet, as far as is known. */
    readonly pending: number;
    /** Whether there is a connection at this moment. `send` works without one, too. */
    readonly connected: boolean;
    /** Settles when the client has ended and onDisconnect has run: with the error why, or undefined after `close`. */
    readonly closed: Promise<Error | undefined>;
    /**
     * Queues a frame. It is sent when there is a connection, and again if need be. It is encoded at once. Throws a
     * ConnectionClosedError, a SendBufferFullError, the codec's error, or one that says that the frame is too large.
     */
    send(frame: FrameOf<Sent>): void;
    /**
     * Sends a frame, and resolves to the reply: the frame with the same id, which is made up where it is missing. It
     * outlives the connection as the session does. Rejects with a ReplyError, a SessionLostError, signal.reason, a
     * TimeoutError after so many ms, or what `send` throws.
     */
    request<Reply = any>(frame: FrameOf<Sent>, options?: Wait): Promise<Frame<string, Reply>>;
    /** Asks for another room, by a request "join" with `{room}`: the server's program answers it, with rpc.Rooms say. */
    join(room: string, options?: Wait): Promise<void>;
    /** Asks to leave a room, by a request "leave". When it resolves, `presence` knows nothing of the room any more. */
    leave(room: string, options?: Wait): Promise<void>;
    /** Who is in a room, sorted by id, as onPresence was told last. undefined: that is not known, or they are counted. */
    presence(room: string): Member[] | undefined;
    /** Resolves when nothing is pending. Rejects with a ConnectionClosedError when the client has ended before. */
    drained(): Promise<void>;
    /**
     * Sends what may be sent, ends the session and the connection, and never comes back. It resolves when the server has
     * answered, or after 5 s. What has come is still handled, onDisconnect last.
     */
    close(): Promise<void>;
    /**
     * Ends the client, and leaves its session to whoever hands it to `connect`, within the server's resume window:
     * this page after a reload, or another one. undefined: there is none.
     */
    exportSession(): Session | undefined;
}
/** How long to wait for a reply: without either, as long as it takes. */
export interface Wait {
    signal?: AbortSignal;
    /** In ms. */
    timeout?: number;
}
type Source<T> = T | (() => T | Promise<T>);
/**
 * Connects to a server. It resolves when the session is open, and rejects when the server cannot be reached or does not
 * let the client in: with a RefusedError where it has said why. Only a client that has been connected comes back,
 * unless `retryFirst` is set. url may be relative to the page, and be a function, called for each dial.
 */
export declare function connect<Events = AnyEvents, Sent = Events>(url: Source<string | URL>, given?: Options<Events, Sent>): Promise<Client<Events, Sent>>;
export {};

import type { Client } from './client.js';
import { type AnyEvents, type Codec, type Frame, type FrameOf, type Message } from './frame.js';
import type { Loss } from './ledger.js';
import type { Presence } from './presence.js';
/** What an application is told when its session did not survive a drop. */
export interface Lost {
    /**
     * Why: "expired", "kicked", "closed", "memory", "duplicate", "token", "identity" or "count", as the server says;
     * "dropped" where the server keeps no sessions; "conflict" where another tab has the session that was handed in; or
     * the last refusal, or "network", where the client has given up.
     */
    reason: string;
    /**
     * The frames that the server's program has not processed, in the order of `send`. They are not sent again: only the
     * program knows whether that makes sense. One that the server was busy with when the session ended may be among them.
     */
    unprocessed: Frame[];
}
/** What passes a session on: `exportSession` returns and `connect` takes. With the default codec it is JSON. */
export interface Session {
    id: string;
    token: string;
    received: number;
    acked: number;
    kept: Message[];
    waiting: Message[];
    /** What has come and has not been handled: messages, numbers of dropped ones, and sessions that were lost. */
    inbox: (string | ArrayBuffer | number | Loss)[];
}
/** A WebSocket, as far as it is needed: that of pages and workers, of npm's `ws`, or of undici. */
export interface WebSocketLike {
    binaryType: string;
    readonly protocol: string;
    readonly bufferedAmount: number;
    onopen: ((event: any) => void) | null;
    onmessage: ((event: any) => void) | null;
    onerror: ((event: any) => void) | null;
    onclose: ((event: any) => void) | null;
    send(data: string | Uint8Array<ArrayBuffer>): void;
    close(code?: number, reason?: string): void;
}
type Callback<Args extends unknown[]> = (...args: Args) => unknown;
/** All of it is optional. Callbacks run one at a time, in order. One that returns a promise has the next ones wait. */
export interface Options<Events = AnyEvents, Sent = Events> {
    /** Subprotocols to offer beside wspulse.v1, or a function, called for each dial, since tokens expire. */
    protocols?: string[] | (() => string[] | Promise<string[]>);
    /** false: do without wspulse.v1, for servers that do not know it. Nothing is acknowledged then, nor certain. */
    protocol?: boolean;
    /** Gets each frame. Without it frames wait for a loop: `for await (const frame of client)`. */
    onMessage?: Callback<[frame: FrameOf<Events>, client: Client<Events, Sent>]>;
    /** The server had to drop n messages, which stood between the frame before and the one after. */
    onGap?: Callback<[n: number, client: Client<Events, Sent>]>;
    /** The connection is lost, and the client will try to come back; or it does, and is found to be unauthorized. */
    onDrop?: Callback<[error: Error, client: Client<Events, Sent>]>;
    /** The client has come back. */
    onRestore?: Callback<[client: Client<Events, Sent>]>;
    /** The client has come back to a new session (before onRestore), or has given up with something pending. */
    onSessionLost?: Callback<[lost: Lost, client: Client<Events, Sent>]>;
    /** Who is in the rooms that the client is in: the server's WithPresence. onMessage gets no such frames any more. */
    onPresence?: Callback<[presence: Presence, client: Client<Events, Sent>]>;
    /** The last callback, exactly once. error is undefined after `close`. */
    onDisconnect?: Callback<[error: Error | undefined, client: Client<Events, Sent>]>;
    /**
     * Handle the server's requests, by event, in the place of onMessage. What one returns is the reply; what it throws is
     * one that says so: a ReplyError as it is, anything else as "internal".
     */
    handlers?: Record<string, (frame: Frame, client: Client<Events, Sent>) => unknown>;
    /** The page goes away for good, and the session with it, unless this calls `exportSession`. */
    onPageHide?: (client: Client<Events, Sent>) => void;
    /** Gives up the first dial; later it closes the client. */
    signal?: AbortSignal;
    /** The first dial is tried again too, unless it is found to be unauthorized twice: `connect` waits. Default false. */
    retryFirst?: boolean;
    /** How often to try to come back after a drop. Default Infinity; 0: not at all. */
    retries?: number;
    /** The first wait is up to so many ms, each further one up to twice that. Default 500. */
    base?: number;
    /** The longest wait, in ms. Default 30,000. */
    cap?: number;
    /** The share of a wait that is chance, in [0, 1]. Default 1. */
    jitter?: number;
    /** Comes back also while the page is hidden. Default false: it waits until somebody looks. */
    background?: boolean;
    /** The connection is given up when nothing has come for 2.5 times as many ms. Default what the server says. */
    heartbeat?: number;
    /** How many frames may wait to be sent: without a connection, or too many acknowledgements behind. Default 256. */
    sendBuffer?: number;
    /** The codec of all frames. Default JSON text. */
    codec?: Codec;
    /** The events of replies, and of replies that say that a request has failed: the server's WithReplyEvents. */
    replyEvents?: [reply: string, failure: string];
    /** The constructor of sockets. Default the global one; in Node that of `ws`, say. */
    WebSocket?: new (url: string, protocols?: string[]) => WebSocketLike;
    /** Goes on with a session of `exportSession`. */
    session?: Session;
}
/** Checks the options, and fills in the defaults. */
export declare function complete<Events, Sent>(given: Options<Events, Sent>): {
    protocol: boolean;
    retries: number;
    base: number;
    cap: number;
    jitter: number;
    sendBuffer: number;
    replyEvents: [string, string];
    codec: Codec;
    WebSocket: new (url: string, protocols?: string[]) => WebSocketLike;
} & Omit<Options<Events, Sent>, "WebSocket" | "base" | "cap" | "codec" | "jitter" | "protocol" | "replyEvents" | "retries" | "sendBuffer">;
export {};

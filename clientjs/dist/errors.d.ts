/** The client has ended, or ended while something was under way. */
export declare class ConnectionClosedError extends Error {
    name: string;
    constructor();
}
/** As many messages wait to be sent as `sendBuffer` allows. The frame was dropped. */
export declare class SendBufferFullError extends Error {
    name: string;
    constructor(bound: number);
}
/** The server does not let the client in, or has ended its connection and said why. */
export declare class RefusedError extends Error {
    /** "unauthorized", "kicked", …, or what the server's program says. */
    readonly reason: string;
    /** Of the close frame; 0: there was none. */
    readonly code: number;
    /** Whether it makes sense to come back. */
    readonly reconnect: boolean;
    /** When to come back, in ms: at least and at most. */
    readonly after?: [number, number] | undefined;
    name: string;
    constructor(
    /** "unauthorized", "kicked", …, or what the server's program says. */
    reason: string, 
    /** Of the close frame; 0: there was none. */
    code: number, 
    /** Whether it makes sense to come back. */
    reconnect: boolean, 
    /** When to come back, in ms: at least and at most. */
    after?: [number, number] | undefined);
}
/** The reply to a request says that it has failed. A handler throws one to choose what the server is told. */
export declare class ReplyError extends Error {
    /** For programs; empty where the payload is not `{code, message}`. */
    readonly code: string;
    name: string;
    constructor(
    /** For programs; empty where the payload is not `{code, message}`. */
    code: string, 
    /** For people, and the server's own words; there it is the whole payload. */
    message: string);
}
/** The session of a request did not survive a drop: the reply will not come. */
export declare class SessionLostError extends Error {
    /** Why the session is gone, as in `Lost`. */
    readonly reason: string;
    /**
     * The request is among `Lost.unprocessed`: the server's program has not processed it, as far as is known, and it
     * may be made again. Otherwise it was processed, and its reply is lost.
     */
    readonly unprocessed: boolean;
    name: string;
    constructor(
    /** Why the session is gone, as in `Lost`. */
    reason: string, 
    /**
     * The request is among `Lost.unprocessed`: the server's program has not processed it, as far as is known, and it
     * may be made again. Otherwise it was processed, and its reply is lost.
     */
    unprocessed: boolean);
}
/** Reports an error that is nobody else's: of a callback, or a message that can't be read. */
export declare const report: (error: unknown) => void;

export declare const PROTOCOL = "wspulse.v1";
export interface Hello {
    t: 'hello';
    at: number;
    id: string;
    token?: string;
    resumed: boolean;
    reason?: string;
    recv: number;
    window: number;
    heartbeat: number;
    maxBytes: number;
    inflight: number;
}
export interface Bye {
    t: 'bye';
    at: number;
    reason: string;
    reconnect: boolean;
    after?: [number, number];
}
export type Control = Hello | Bye | {
    t: 'ack' | 'gap';
    at: number;
    n: number;
} | {
    t: 'ping' | 'pong';
    at: number;
};
/** What breaks the protocol. It ends the transport with 4400. */
export declare class Violation extends Error {
    /** "count": the two ends count differently, and the session can't go on. */
    readonly why: 'protocol' | 'count';
    constructor(
    /** "count": the two ends count differently, and the session can't go on. */
    why: 'protocol' | 'count', text: string);
}
/** Whether a value is of the same type, and a number whole and at least as great. */
export declare const fits: (value: any, least: any) => boolean;
/** Reads a control message. It throws a Violation for what is none. */
export declare function parse(data: string | ArrayBuffer): Control;

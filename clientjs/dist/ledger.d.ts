import { type Hello } from './control.js';
import { type Message } from './frame.js';
import type { Session } from './options.js';
/** A session that a client has come back too late for. */
export interface Loss {
    reason: string;
    unprocessed: Message[];
}
/** What counts of a hello, later. */
type Limits = Pick<Hello, 'id' | 'token' | 'window' | 'inflight' | 'maxBytes'>;
/**
 * What a client has counted: the messages of both directions, from 1 for as long as its session lives. It knows no
 * socket and no clock.
 */
export declare class Ledger {
    #private;
    hello: Limits;
    opened: boolean;
    broken: boolean;
    acked: number;
    kept: Message[];
    waiting: Message[];
    sent: number;
    received: number;
    due: number;
    told: number;
    news: number;
    get pending(): number;
    /** Whether the server keeps the session when the connection is lost, and acknowledges. */
    get keeps(): boolean;
    /** The subprotocols to offer, with the claim. From here on nothing is counted that an older transport says. */
    offer(): string[];
    /** Begins with a new transport. The loss is that of the session before; undefined: it goes on, or there was none. */
    greet(hello: Hello): Loss | undefined;
    /** Takes the next message that may be sent; undefined: there is none. */
    next(): Message | undefined;
    /** Removes what the server has processed: so many messages in all. */
    acknowledged(n: number): void;
    /** Counts messages that have come. It says whether it is time to acknowledge them: not while there is no room. */
    receive(messages: number, size: number, full: boolean): boolean;
    /** The number to acknowledge, which has been then. */
    ack(): number;
    /** Throws for a message that the server does not take. */
    check(message: Message): void;
    /** Goes on with what another client has counted. */
    adopt({ id, token, received, acked, kept, waiting }: Session): void;
}
export {};

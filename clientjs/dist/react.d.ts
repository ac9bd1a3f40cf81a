import { type AnyEvents, type Client, type Frame, type Options } from '@wspulse/client';
/** How it stands with a connection. It is another object when something of it has changed, but for `on`. */
export interface Connection<Events = AnyEvents, Sent = Events> {
    /** undefined until the connection is open for the first time. */
    readonly client: Client<Events, Sent> | undefined;
    /** "connecting": for the first time; on the server, too. "closed": for good, or there is no url. */
    readonly state: 'connecting' | 'open' | 'reconnecting' | 'closed';
    /** Why it is reconnecting, or closed; undefined after `close`. */
    readonly error: Error | undefined;
    /** Has a function called as useEvent does, and returns what ends that. It is always the same. */
    readonly on: On<Events>;
}
type On<Events> = <E extends keyof Events & string>(event: E, fn: Listener<Events, E>) => () => void;
/** Gets the payload of a frame, and the frame. Where it returns a promise, the next frame waits for it. */
export type Listener<Events, E extends keyof Events & string> = (payload: Events[E], frame: Frame<E, Events[E]>) => unknown;
/**
 * Keeps a connection for as long as the component is mounted, or another one when url is another one; null: none. The
 * component renders when the state changes, and for no message: useEvent is for these. It does not dial on the server.
 *
 * The options are those of `connect`, as they are when the connection is made, but the latest callbacks are called. The
 * first dial is tried again unless `retryFirst` is false. A `session` is taken once. A connection that is let go is
 * closed; of its callbacks only onSessionLost and onDisconnect are called then.
 */
export declare function useWspulse<Events = AnyEvents, Sent = Events>(url: string | null, options?: Options<Events, Sent>): Connection<Events, Sent>;
/**
 * Calls a function with the payload of each frame of an event, while the component is mounted: the function of the last
 * render. It renders nothing by itself. It comes before onMessage. What it throws is reported.
 */
export declare function useEvent<Events, Sent, E extends keyof Events & string>(connection: Connection<Events, Sent>, event: E, fn: Listener<Events, E>): void;
export {};

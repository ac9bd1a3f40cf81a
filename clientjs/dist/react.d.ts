import { type AnyEvents, type Client, type FrameOf, type Options } from '@wspulse/client';
/** How it stands with a connection: `client` is undefined until it is open for the first time. */
export interface Connection<Events = AnyEvents, Sent = Events> {
    readonly client: Client<Events, Sent> | undefined;
    readonly state: 'connecting' | 'open' | 'reconnecting' | 'closed';
    /** Why it is not open; undefined while it is, or after `close`. */
    readonly error: Error | undefined;
    /** Has a function called with the payload of each frame of an event, and returns what ends that. */
    on<E extends keyof Events & string>(event: E, fn: (payload: Events[E], frame: FrameOf<Events>) => void): () => void;
}
/**
 * Keeps a connection for as long as the component is mounted, or another one when url is another one; null: none. Only a
 * change of its state renders the component, and no message: useEvent is for these. The options are those of `connect`,
 * as they are when the connection is made; the latest callbacks are called. The first dial is tried again, unless
 * `retryFirst` is false.
 */
export declare function useWspulse<Events = AnyEvents, Sent = Events>(url: string | null, options?: Options<Events, Sent>): Connection<Events, Sent>;
/** Calls a function with the payload of each frame of an event, while the component is mounted. It renders nothing. */
export declare function useEvent<Events, Sent, E extends keyof Events & string>(connection: Connection<Events, Sent>, event: E, fn: (payload: Events[E], frame: FrameOf<Events>) => void): void;

import type { Codec, Frame, Message } from './frame.js';
/** A request that is under way. */
export interface Waiter {
    message: Message;
    /** Runs when a reply has come that is no failure, also when nobody waits for it any more. */
    then: (() => void) | undefined;
    resolve(reply: Frame): void;
    reject(error: unknown): void;
}
/** The requests of a client that are under way, by ID. */
export declare function newRequests([replied, failed]: [reply: string, failure: string]): {
    /** Returns an ID. From now on there may be replies. */
    nextID: () => string;
    /** Has a request wait. It returns what ends that. */
    add(id: string, waiter: Waiter): () => void;
    /** Gives a reply to the request that waits for it, and says whether a frame is one. */
    take(frame: Frame): boolean;
    /** Fails those that were sent in a session that is lost: not those that wait for the next. */
    lose(reason: string, unprocessed: Message[], unsent: Message[]): void;
    /** Fails all. */
    end(error: Error): void;
    /** Runs the handler of a request of the server, and returns the reply. */
    reply({ id }: Frame, handler: () => unknown, codec: Codec): Promise<Message>;
};

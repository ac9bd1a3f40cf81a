import type { Frame } from './frame.js';
import type { Loss } from './ledger.js';
/** What the server has sent, how many messages it has dropped, or a session that is lost. */
export type Raw = string | ArrayBuffer | number | Loss;
/**
 * Runs callbacks one after the other, and has frames wait for a loop over them. It outlives the transports. eased is
 * called when it is not full any more.
 */
export declare function newInbox(eased: () => void): {
    start: () => void;
    /** Whether nothing is to be acknowledged. */
    isFull: () => boolean;
    /**
     * Has a callback wait. A promise that it returns is waited for. Where it is for a message, that has a size; raw is
     * what somebody would need who went on with the session elsewhere. After the end nothing runs.
     */
    add(run: () => unknown, raw?: Raw, size?: number): void;
    /** Has a frame wait for a loop. Where nobody has ever looped, though they could have, only so many do. */
    hold(frame: Frame, raw: Raw, size: number): void;
    /** Takes the next frame; undefined: there will be no more. */
    pull(): Promise<Frame | undefined>;
    /** There will be no more frames, and no more callbacks. */
    end(): void;
    /** Takes everything out, and returns what somebody needs who goes on. */
    unload: () => Raw[];
};

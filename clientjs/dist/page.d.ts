/** Whether nobody can see the page. It is asked when it matters, and never kept. */
export declare const isHidden: () => boolean;
/**
 * Calls wake when the network or somebody's attention may be back, hide when the page goes away for good, and stop when
 * a signal says so. It returns a function that ends that.
 */
export declare function watchPage(wake: () => void, hide: (event: PageTransitionEvent) => unknown, stop: () => void, signal?: AbortSignal): () => void;
/** Something that is to happen later. It can be put off and called off. */
export declare function newTimer(): {
    stop: () => void;
    runs: () => boolean;
    /** Calls fn after so many ms; late says that the page, or the machine, has slept meanwhile. */
    set(ms: number, fn: (late: boolean) => void): void;
};
/**
 * Waits until nobody else has the lock of that name, for a moment, and holds it until done settles. Where there are no
 * locks it has it.
 */
export declare const hold: (name: string, done: Promise<unknown>) => Promise<boolean>;

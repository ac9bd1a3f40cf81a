// The life of a page, as far as a connection has a part in it. In Node and in workers there is less of it, or nothing.

const page = globalThis as Partial<Pick<typeof globalThis, 'document' | 'navigator' | 'addEventListener'>>

/** Whether nobody can see the page. It is asked when it matters, and never kept. */
export const isHidden = () => page.document?.visibilityState === 'hidden'

/**
 * Calls wake when the network or somebody's attention may be back, hide when the page goes away for good, and stop when
 * a signal says so. It returns a function that ends that.
 */
export function watchPage(
  wake: () => void,
  hide: (event: PageTransitionEvent) => unknown,
  stop: () => void,
  signal?: AbortSignal,
): () => void {
  const watched = new AbortController()
  const on = (target: typeof page | AbortSignal | undefined, event: string, fn: (event: any) => void) =>
    target?.addEventListener?.(event, fn, watched)
  on(page, 'online', wake)
  on(page, 'pageshow', (event) => event.persisted && wake()) // from the back/forward cache
  on(page, 'pagehide', hide)
  on(page.document, 'visibilitychange', () => isHidden() || wake())
  on(page.document, 'resume', wake) // it was frozen
  on(signal, 'abort', stop)
  return () => watched.abort()
}

const LATE = 1000 // ms

/** Something that is to happen later. It can be put off and called off. */
export function newTimer() {
  let id: ReturnType<typeof setTimeout> | undefined

  const stop = () => {
    clearTimeout(id)
    id = undefined
  }

  return {
    stop,
    runs: () => id !== undefined,

    /** Calls fn after so many ms; late says that the page, or the machine, has slept meanwhile. */
    set(ms: number, fn: (late: boolean) => void) {
      const due = Date.now() + ms
      const fire = () => {
        id = undefined
        fn(Date.now() - due > LATE)
      }
      stop()
      id = setTimeout(fire, Math.min(ms, 2 ** 31 - 1)) // longer ones would fire at once
    },
  }
}

/**
 * Waits until nobody else has the lock of that name, for a moment, and holds it until done settles. Where there are no
 * locks it has it.
 */
export const hold = (name: string, done: Promise<unknown>) =>
  new Promise<boolean>((resolve) => {
    const locks = page.navigator?.locks
    if (!locks) resolve(true)
    locks
      ?.request(name, { signal: AbortSignal.timeout(LATE) }, () => {
        resolve(true)
        return done
      })
      .catch(() => resolve(false))
  })

import { report } from './errors.js'
import type { Frame } from './frame.js'
import type { Loss } from './ledger.js'

// What waits for callbacks: from so many messages or bytes on nothing is acknowledged until half of that is left.
const FULL_MESSAGES = 1024
const FULL_BYTES = 4 << 20

/** What the server has sent, how many messages it has dropped, or a session that is lost. */
export type Raw = string | ArrayBuffer | number | Loss

/** A callback that waits for its turn, or a frame that waits for a loop. */
interface Item {
  run?: () => unknown
  frame?: Frame
  size?: number | undefined // of the message that it is, in bytes
  raw?: Raw | undefined
}

/**
 * Runs callbacks one after the other, and has frames wait for a loop over them. It outlives the transports. eased is
 * called when it is not full any more.
 */
export function newInbox(eased: () => void) {
  const items: Item[] = []
  const frames: Item[] = []
  const pulls: ((frame?: Frame) => void)[] = [] // loops that wait for a frame
  let looped = false // there has been one
  let over = false
  let messages = 0
  let bytes = 0
  let full = false
  let busy = true // a callback runs; or it has not been started

  /** Counts a message that has come, or gone: where there is a size. */
  function count(sign: number, size?: number) {
    if (size === undefined) return
    messages += sign
    bytes += sign * size
    if (messages >= FULL_MESSAGES || bytes >= FULL_BYTES) full = true
    else if (full && messages <= FULL_MESSAGES / 2 && bytes <= FULL_BYTES / 2) {
      full = false
      eased()
    }
  }

  /** Takes out the first. */
  function next(from: Item[]) {
    const item = from.shift()
    count(-1, item?.size)
    return item
  }

  function work() {
    while (!busy) {
      const item = next(items)
      if (!item) return
      busy = true
      try {
        const result = item.run!() as Promise<unknown> | undefined
        if (result?.then) return void result.then(undefined, report).then(start)
      } catch (error) {
        report(error)
      }
      busy = false
    }
  }

  function start() {
    busy = false
    work()
  }

  return {
    start,

    /** Whether nothing is to be acknowledged. */
    isFull: () => full,

    /**
     * Has a callback wait. A promise that it returns is waited for. Where it is for a message, that has a size; raw is
     * what somebody would need who went on with the session elsewhere. After the end nothing runs.
     */
    add(run: () => unknown, raw?: Raw, size?: number) {
      if (over) return
      count(1, size)
      items.push({ run, size, raw })
      work()
    },

    /** Has a frame wait for a loop. Where nobody has ever looped, though they could have, only so many do. */
    hold(frame: Frame, raw: Raw, size: number) {
      const pull = pulls.shift()
      if (pull) return pull(frame)
      count(1, size)
      frames.push({ frame, size, raw })
      if (looped || busy || !full) return
      report(new Error('wspulse: no onMessage, no for await: messages are dropped'))
      while (next(frames)) {}
    },

    /** Takes the next frame; undefined: there will be no more. */
    pull(): Promise<Frame | undefined> {
      looped = true
      const frame = next(frames)?.frame
      return frame || over ? Promise.resolve(frame) : new Promise((resolve) => pulls.push(resolve))
    },

    /** There will be no more frames, and no more callbacks. */
    end() {
      over = true
      items.length = 0
      for (const pull of pulls.splice(0)) pull()
    },

    /** Takes everything out, and returns what somebody needs who goes on. */
    unload: (): Raw[] => [...frames.splice(0), ...items.splice(0)].flatMap(({ raw }) => raw ?? []),
  }
}

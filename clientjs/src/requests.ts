import { ReplyError, report, SessionLostError } from './errors.js'
import type { Codec, Frame, Message } from './frame.js'

/** A request that is under way. */
export interface Waiter {
  message: Message
  /** Runs when a reply has come that is no failure, also when nobody waits for it any more. */
  then: (() => void) | undefined
  resolve(reply: Frame): void
  reject(error: unknown): void
}

/** The requests of a client that are under way, by ID. */
export function newRequests([replied, failed]: [reply: string, failure: string]) {
  const waiting = new Map<string, Waiter>()
  const prefix = Math.random().toString(36).slice(2, 8)
  let made = 0

  return {
    /** Returns an ID. From now on there may be replies. */
    nextID: () => prefix + (++made).toString(36),

    /** Has a request wait. It returns what ends that. */
    add(id: string, waiter: Waiter) {
      if (waiting.has(id)) throw new Error(`wspulse: request ${id} is under way`)
      waiting.set(id, waiter)
      return () => {
        if (waiting.get(id) === waiter) waiting.delete(id)
      }
    },

    /** Gives a reply to the request that waits for it, and says whether a frame is one. */
    take(frame: Frame): boolean {
      const { id, event, payload } = frame
      if (!made || !id || (event !== replied && event !== failed)) return false
      const waiter = waiting.get(id)
      waiting.delete(id)
      if (event === failed) {
        const { code, message } = payload ?? {}
        waiter?.reject(new ReplyError(`${code ?? ''}`, `${message ?? JSON.stringify(payload) ?? ''}`))
      } else {
        waiter?.then?.()
        waiter?.resolve(frame)
      }
      return true
    },

    /** Fails those that were sent in a session that is lost: not those that wait for the next. */
    lose(reason: string, unprocessed: Message[], unsent: Message[]) {
      for (const [id, { message, reject }] of waiting) {
        if (unsent.includes(message)) continue
        waiting.delete(id)
        reject(new SessionLostError(reason, unprocessed.includes(message)))
      }
    },

    /** Fails all. */
    end(error: Error) {
      for (const { reject } of waiting.values()) reject(error)
      waiting.clear()
    },

    /** Runs the handler of a request of the server, and returns the reply. */
    async reply({ id }: Frame, handler: () => unknown, codec: Codec): Promise<Message> {
      try {
        return codec.encode({ id, event: replied, payload: await handler() })
      } catch (error) {
        const known = error instanceof ReplyError
        if (!known) report(error)
        const { code, message } = known ? error : new ReplyError('internal', 'internal error')
        return codec.encode({ id, event: failed, payload: { code, message } })
      }
    },
  }
}
